"""A line, or several that are alike, as the ordinary request it becomes: what it would meet, and opening it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apps.access import selectors as access
from apps.access import services as access_services
from apps.access.asks import REASON_LENGTH
from apps.access.models import SelectorKind
from apps.access.refusals import AlreadyAsked, DurationTooLong
from apps.access.rules import Need
from apps.audit.errors import Refusal
from apps.compiler.graph import SubjectKind
from apps.firewall.models import Verdict

if TYPE_CHECKING:
    from apps.access.models import AccessRequest
    from apps.firewall.models import FirewallLine, FirewallRequest
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Bundle:
    """Lines of one caller to one service through the same doors for the same time: one request, with all their routes.

    ``subject`` and ``service`` are keys; ``blocks`` are the addresses of an outside party.
    """

    lines: tuple[FirewallLine, ...]
    subject: str
    service: str
    routes: tuple[str, ...]
    points: tuple[str, ...]
    duration: int
    blocks: tuple[str, ...]
    demands: tuple[Need, ...]

    @property
    def is_party(self) -> bool:
        return self.subject.startswith(f"{SubjectKind.PARTY}:")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What opening would meet. ``already`` is the request by which it is asked for, empty where nobody asked."""

    blockers: tuple[Refusal, ...]
    max_duration: int
    approvals: tuple[str, ...]
    risk: Mapping[str, Any]
    already: str = ""


def bundled(
    lines: Iterable[FirewallLine], *, designs: Mapping[int, Mapping[str, Any]] | None = None, at: datetime
) -> list[Bundle]:
    """Of lines that are ready, or would be with these ``designs``, by number. A line that has less time left than its
    design says is asked for that long only."""
    alike: dict[tuple[Any, ...], list[FirewallLine]] = {}
    known = list(lines)
    given = designs or {line.number: line.design or {} for line in known}
    for line in known:
        design, meaning = given[line.number], line.meaning
        seconds = _seconds(line, int(design["duration"]), at)
        key = (_key(meaning.subject), _slug(meaning.service), tuple(design["points"]), seconds)
        alike.setdefault(key, []).append(line)
    return [_bundle(key, found, given) for key, found in alike.items()]


def _bundle(key: tuple[Any, ...], lines: Sequence[FirewallLine], designs: Mapping[int, Mapping[str, Any]]) -> Bundle:
    subject, service, points, duration = key
    return Bundle(
        lines=tuple(lines),
        subject=subject,
        service=service,
        routes=tuple(sorted({route for line in lines for route in designs[line.number]["routes"]})),
        points=points,
        duration=duration,
        blocks=tuple(dict.fromkeys(block for line in lines for block in line.meaning.blocks)),
        demands=demands_of(lines),
    )


def _key(subject: Subject | None) -> str:
    return subject.key if subject is not None else ""


def _slug(service: Any) -> str:
    return service.slug if service is not None else ""


def seconds_of(line: FirewallLine, at: datetime) -> int:
    return _seconds(line, int((line.design or {})["duration"]), at)


def _seconds(line: FirewallLine, duration: int, at: datetime) -> int:
    end = line.until or line.request.ends_at
    return duration if end is None else min(duration, int((end - at).total_seconds()))


def demands_of(lines: Iterable[FirewallLine]) -> tuple[Need, ...]:
    """What the zone matrix asks for besides the approval rules."""
    said = [
        str((line.meaning.zone or {})["sentence"])
        for line in lines
        if (line.meaning.zone or {}).get("verdict") == Verdict.SECURITY
    ]
    if not said:
        return ()
    sentence = f"Zones: {' '.join(dict.fromkeys(said))}"[:300]
    return (Need(kind=SelectorKind.ROLE, value="security", count=1, name="Security", sentence=sentence),)


def outlook_of(bundle: Bundle, *, environment: str, actor: Subject, at: datetime) -> Outlook:
    """Raises what can never be asked like this, such as NotYourSubject; what only stands against it is in it."""
    shown = _preview(bundle, environment, actor, at)
    blockers = shown.weighed.blockers if isinstance(shown, access.AddressPreview) else shown.blockers
    rules = shown.weighed.resolution if isinstance(shown, access.AddressPreview) else None
    same = next((str(one.extra.get("request", "")) for one in blockers if isinstance(one, AlreadyAsked)), "")
    names = (
        [one[0] for one in shown.approvals]
        if isinstance(shown, access.AddressPreview)
        else [one.name for one in shown.approvals]
    )
    return Outlook(
        blockers=tuple(one for one in blockers if not isinstance(one, AlreadyAsked) or not same),
        max_duration=rules.max_duration if rules is not None else shown.max_duration,  # type: ignore[union-attr]  # of a Preview
        approvals=tuple(names),
        risk=shown.risk.as_json(),
        already=same,
    )


def _preview(bundle: Bundle, environment: str, actor: Subject, at: datetime) -> access.Preview | access.AddressPreview:
    if bundle.is_party:
        return access.preview_addresses(
            actor=actor,
            party_key=bundle.subject,
            service_slug=bundle.service,
            addresses="\n".join(bundle.blocks),
            duration=bundle.duration,
            environment=environment,
            demands=bundle.demands,
            at=at,
        )
    return access.preview(
        actor=actor,
        subject_key=bundle.subject,
        service_slug=bundle.service,
        route_keys=bundle.routes,
        points=bundle.points,
        duration=bundle.duration,
        environment=environment,
        demands=bundle.demands,
        at=at,
    )


def allowed_seconds(outlook: Outlook, wanted: int) -> int:
    """No longer than the rules allow: shorter is narrower, so it needs nobody's leave."""
    return min(wanted, outlook.max_duration)


def lasting_blockers(outlook: Outlook) -> list[Refusal]:
    """What shortening does not take away."""
    return [one for one in outlook.blockers if not isinstance(one, DurationTooLong)]


def open_bundle(
    bundle: Bundle, request: FirewallRequest, *, actor: Subject, origin: str, at: datetime
) -> AccessRequest:
    """The ordinary request, with whatever it is refused for."""
    common: dict[str, Any] = {
        "actor": actor,
        "service_slug": bundle.service,
        "duration": bundle.duration,
        "environment": request.environment.slug,
        "reason": reason_of(bundle, request),
        "ticket": request.ticket,
        "origin": origin,
        "demands": bundle.demands,
        "at": at,
    }
    if bundle.is_party:
        addresses = "\n".join(bundle.blocks)
        return access_services.open_address_request(party=bundle.subject, addresses=addresses, **common)
    return access_services.open_request(
        subject_key=bundle.subject, route_keys=bundle.routes, points=bundle.points, **common
    )


def reason_of(bundle: Bundle, request: FirewallRequest) -> str:
    """What its approvers read: the request's reason, and what single lines say besides."""
    own = [line.reason for line in bundle.lines if line.reason and line.reason != request.reason]
    numbers = ", ".join(str(line.number) for line in bundle.lines)
    parts = [request.reason, *dict.fromkeys(own), f"({request.public_id}, {request.title}, line {numbers})"]
    return "\n".join(parts)[:REASON_LENGTH]
