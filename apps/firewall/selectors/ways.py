"""How a line could be opened, and what stands on its way: read when somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.compiler.address_lists import blocks_of
from apps.compiler.graph import Service
from apps.compiler.paths import matches, parse_template, segments
from apps.firewall.designing import Evidence, Proposal, Wanted, is_open, propose, too_wide
from apps.firewall.hops import Hop, hops_of
from apps.firewall.live import Asked, Live, load_live, wanted_until
from apps.rollout import selectors as rollout
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.firewall.models import FirewallLine, FirewallRequest
    from apps.identity.models import Subject

LOOK_BACK = timedelta(days=7)
MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class Ways:
    """``hops`` is the way of the call; ``proposals`` are how it could be opened, the narrowest first."""

    hops: tuple[Hop, ...]
    proposals: tuple[Proposal, ...]


def get_ways(*, line: FirewallLine, viewer: Subject, at: datetime) -> Ways | None:
    """None as long as caller or service are not clear. Five queries at most while nobody is turned away, and one more
    where something could be narrowed to its use."""
    request, subject, service = line.request, line.meaning.subject, line.meaning.service
    if subject is None or service is None:
        return None
    live = load_live(
        environment_slug=request.environment.slug,
        service_slugs=[service.slug],
        subject_keys=[subject.key],
        viewer=viewer,
        at=at,
    )
    shape = live.shape(service.slug)
    if shape is None:
        return None
    places = rollout.list_places(request.environment.slug)
    return Ways(
        hops=hops_of(live, asked_by(line, shape, at), shape, subject.name, places),
        proposals=Designer(live, viewer, at).propose(line, shape),
    )


def list_proposals(
    *, request: FirewallRequest, lines: Sequence[FirewallLine], viewer: Subject, at: datetime
) -> dict[int, tuple[Proposal, ...]]:
    """How each line could be opened, by its number; nothing for one that is not clear. A handful of queries for all
    lines that name their routes, and one more for each pair of caller and service of the rest."""
    clear = [line for line in lines if line.meaning.subject is not None and line.meaning.service is not None]
    if not clear:
        return {}
    live = load_live(
        environment_slug=request.environment.slug,
        service_slugs={_slug(line) for line in clear},
        subject_keys={_key(line) for line in clear},
        viewer=viewer,
        at=at,
    )
    designer = Designer(live, viewer, at)
    shapes = {line.number: live.shape(_slug(line)) for line in clear}
    return {line.number: designer.propose(line, shape) for line in clear if (shape := shapes[line.number]) is not None}


@dataclass(slots=True)
class Designer:
    """Proposes for one line after another from what was read once."""

    live: Live
    viewer: Subject
    at: datetime
    known: dict[tuple[str, str], Evidence] = field(default_factory=dict)

    def propose(self, line: FirewallLine, shape: Service) -> tuple[Proposal, ...]:
        asked, service = asked_by(line, shape, self.at), line.meaning.service
        longest = service.max_duration if service is not None else 0
        wanted = Wanted(asked, shape, bool(line.meaning.routes), asked.until - self.live.at, longest)
        return propose(self.live, wanted, self._used(wanted) if wanted.named else self._evidence(asked, shape))

    def _used(self, wanted: Wanted) -> Evidence:
        """Asked only where something could be narrowed."""
        wide = too_wide(self.live, wanted) if is_open(self.live, wanted.asked) else []
        opened = [access.Opened(one.public_id, one.starts_at, one.routes) for one in wide]
        return Evidence(used=access.routes_used(opened, self.at)) if opened else Evidence()

    def _evidence(self, asked: Asked, shape: Service) -> Evidence:
        """What the catalogue declares, and what was refused lately as far as ``viewer`` may see it."""
        pair = (asked.subject, shape.id)
        if pair not in self.known:
            declared = self.live.needed.get(shape.id, {}).get(asked.subject, ())
            self.known[pair] = Evidence(declared=declared, refused=_refused(asked, shape, self.viewer, self.at))
        return self.known[pair]


def _key(line: FirewallLine) -> str:
    return line.meaning.subject.key if line.meaning.subject is not None else ""


def _slug(line: FirewallLine) -> str:
    return line.meaning.service.slug if line.meaning.service is not None else ""


def asked_by(line: FirewallLine, shape: Service, at: datetime) -> Asked:
    """As it is understood now."""
    meaning = line.meaning
    subject = meaning.subject
    return Asked(
        subject=subject.key if subject else "",
        kind=subject.kind if subject else "",
        service=shape.id,
        routes=frozenset(meaning.routes or [route.id for route in shape.routes]),
        points=frozenset(meaning.points),
        blocks=blocks_of(meaning.blocks),
        until=wanted_until(line, line.request, at),
    )


def _refused(asked: Asked, shape: Service, viewer: Subject, at: datetime) -> tuple[str, ...]:
    filters = telemetry.CallFilter(
        subject=asked.subject, service=shape.id, verdict="deny", since=at - LOOK_BACK, probes=False
    )
    calls = telemetry.list_calls(viewer=viewer, filters=filters, limit=MOST_CALLS).items
    refused = (key for call in calls for key in ([call.route] if call.route else _routes_at(shape, call)))
    return tuple(dict.fromkeys(refused))


def _routes_at(shape: Service, call: telemetry.CallRow) -> list[str]:
    parts = segments(call.path)
    if parts is None:
        return []
    hits = (one for one in shape.routes if call.method in one.methods and matches(parse_template(one.template), parts))
    return [one.id for one in hits]
