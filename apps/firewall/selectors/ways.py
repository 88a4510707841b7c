"""How a line could be opened, and what stands on its way: read when somebody looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from apps.access import selectors as access
from apps.catalog import selectors as catalog
from apps.compiler.address_lists import blocks_of
from apps.compiler.graph import Service
from apps.compiler.paths import matches, parse_template, segments
from apps.firewall.designing import Evidence, Proposal, Wanted, propose
from apps.firewall.hops import Hop, hops_of
from apps.firewall.live import Asked, load_live, wanted_until
from apps.rollout import selectors as rollout
from apps.telemetry import selectors as telemetry

if TYPE_CHECKING:
    from apps.firewall.models import FirewallLine
    from apps.identity.models import Subject

LOOK_BACK = timedelta(days=7)
MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class Ways:
    """``hops`` is the way of the call; ``proposals`` are how it could be opened, the narrowest first."""

    hops: tuple[Hop, ...]
    proposals: tuple[Proposal, ...]


def get_ways(*, line: FirewallLine, viewer: Subject, at: datetime) -> Ways | None:
    """None as long as caller or service are not clear."""
    meaning, request = line.meaning, line.request
    subject, service = meaning.subject, meaning.service
    if subject is None or service is None:
        return None
    live = load_live(
        environment_slug=request.environment.slug,
        service_slugs=[service.slug],
        subject_keys=[subject.key],
        with_lists=True,
        at=at,
    )
    shape = live.shape(service.slug)
    if shape is None:
        return None
    asked = asked_by(line, shape, at)
    wanted = Wanted(asked, shape, bool(meaning.routes), asked.until - live.at, service.max_duration)
    pending = access.list_pending_of(subject_keys=[subject.key], service_slugs=[service.slug])
    seen = set(access.visible_requests(viewer).filter(pk__in=[one.pk for one in pending]).values_list("pk", flat=True))
    evidence = Evidence() if wanted.named else _evidence(line, shape, viewer, at)
    return Ways(
        hops=hops_of(live, asked, shape, subject.name, rollout.list_places(request.environment.slug)),
        proposals=propose(live, wanted, [one for one in pending if one.pk in seen], evidence),
    )


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


def _evidence(line: FirewallLine, shape: Service, viewer: Subject, at: datetime) -> Evidence:
    """What the catalogue declares, and what was refused lately as far as ``viewer`` may see it."""
    subject, service = line.meaning.subject, line.meaning.service
    if subject is None or service is None:
        return Evidence()
    caller = next(
        (one for one in catalog.list_placed(line.request.environment.slug) if one.workload == subject.key), None
    )
    declared = catalog.list_needed_routes(caller.slug, service) if caller is not None else ()
    filters = telemetry.CallFilter(
        subject=subject.key, service=service.slug, verdict="deny", since=at - LOOK_BACK, probes=False
    )
    calls = telemetry.list_calls(viewer=viewer, filters=filters, limit=MOST_CALLS).items
    refused = (key for call in calls for key in ([call.route] if call.route else _routes_at(shape, call)))
    return Evidence(declared=tuple(declared), refused=tuple(dict.fromkeys(refused)))


def _routes_at(shape: Service, call: telemetry.CallRow) -> list[str]:
    parts = segments(call.path)
    if parts is None:
        return []
    hits = (one for one in shape.routes if call.method in one.methods and matches(parse_template(one.template), parts))
    return [one.id for one in hits]
