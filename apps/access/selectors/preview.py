"""What would happen: before somebody asks, and before somebody answers. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apps.access import policies
from apps.access.approvers import Person
from apps.access.asks import Target, read_duration, read_subject, read_target, target_of
from apps.access.judging import affected, judge_risk
from apps.access.models import AccessRequest
from apps.access.risk import Risk
from apps.access.rules import MatchedRule, Need
from apps.access.selectors.addresses import addresses_of, opening_words
from apps.access.selectors.circumstances import slice_around
from apps.access.selectors.graph import seconds
from apps.access.states import RequestState
from apps.access.traffic import PROPOSED, proposed_rule
from apps.access.weighing import Weighed, span, weigh
from apps.access.wishes import Wish
from apps.audit.errors import Refusal
from apps.compiler import graph
from apps.compiler.decide import entitlements
from apps.compiler.decide import weigh as weigh_grants
from apps.compiler.diff import Change, Plan, diff
from apps.compiler.lint import Finding, lint
from apps.compiler.reasons import Reason
from apps.compiler.words import listed, moment, points_words, route_words

if TYPE_CHECKING:
    from apps.catalog.models import Environment, Service
    from apps.identity.models import Subject


@dataclass(frozen=True, slots=True)
class Approval:
    """``count`` of ``people`` must agree, because of ``sentence``."""

    name: str
    sentence: str
    count: int
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The exact change: the slice of the graph before and after, what differs in words, and what lint says of it."""

    before: graph.AccessGraph
    after: graph.AccessGraph
    plan: Plan
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """``blockers`` are the refusals that sending would meet; ``notes`` what will stay closed all the same.

    ``affected`` are the members of a team that is asked for; ``others`` those who can already call what is asked for.
    """

    subject: Person
    service: str
    service_title: str
    environment: str
    routes: tuple[graph.Route, ...]
    points: tuple[str, ...]
    duration: int
    max_duration: int
    max_duration_why: str
    approvals: tuple[Approval, ...]
    rules: tuple[MatchedRule, ...]
    blockers: tuple[Refusal, ...]
    notes: tuple[str, ...]
    already: tuple[str, ...]
    risk: Risk
    affected: tuple[Person, ...]
    others: tuple[Person, ...]
    planned: Planned
    wish: Wish | None = None

    @property
    def can_be_sent(self) -> bool:
        return not self.blockers

    @property
    def max_duration_words(self) -> str:
        return span(self.max_duration)

    def as_json(self) -> dict[str, object]:
        return {
            "subject": _person_json(self.subject),
            "service": self.service,
            "environment": self.environment,
            "routes": [
                {"id": route.id, "methods": sorted(route.methods), "template": route.template} for route in self.routes
            ],
            "points": list(self.points),
            "duration": self.duration,
            "max_duration": self.max_duration,
            "max_duration_why": self.max_duration_why,
            "approvals": [
                {
                    "name": one.name,
                    "sentence": one.sentence,
                    "count": one.count,
                    "people": [_person_json(who) for who in one.people],
                }
                for one in self.approvals
            ],
            "rules": [{"slug": rule.slug, "sentence": rule.sentence} for rule in self.rules],
            "can_be_sent": self.can_be_sent,
            "blockers": [{"code": one.code, "message": one.message, "extra": one.extra} for one in self.blockers],
            "notes": list(self.notes),
            "already": list(self.already),
            "risk": self.risk.as_json(),
            "affected": [_person_json(who) for who in self.affected],
            "others": [_person_json(who) for who in self.others],
            "changes": [{"kind": change.kind, "sentence": change.sentence} for change in self.planned.plan.changes],
            "findings": [
                {"code": one.code, "severity": one.severity, "sentence": one.sentence} for one in self.planned.findings
            ],
        }


def _person_json(who: Person) -> dict[str, str]:
    return {"key": who.key, "name": who.name}


def preview(
    *,
    actor: Subject,
    subject_key: str,
    service_slug: str,
    route_keys: Collection[str],
    points: Collection[str] = (),
    duration: int,
    environment: str | None = None,
    treatment: Mapping[str, Any] | None = None,
    demands: Sequence[Need] = (),
    at: datetime,
) -> Preview:
    """What asking for this would mean. Input that makes no sense is refused; what stands against sending is listed."""
    subject = read_subject(subject_key, service_slug, treatment)
    if treatment is None:
        policies.require_may_ask_for(actor, subject)
    target = read_target(
        subject=subject,
        service_slug=service_slug,
        route_keys=route_keys,
        points=points,
        environment=environment,
        treatment=treatment,
    )
    if target.wish is not None:
        policies.require_may_ask_for_rule(actor, subject, target.service)
    weighed = weigh(requester=actor, subject=subject, target=target, duration=read_duration(duration), demands=demands)
    planned = _plan(_graph_around(subject, target.service, target.environment, at), subject, target, duration, at)
    return Preview(
        subject=Person(subject.key, subject.name),
        service=target.service.slug,
        service_title=target.service.title,
        environment=target.environment.slug,
        routes=target.graph_routes,
        points=target.points,
        duration=duration,
        max_duration=weighed.resolution.max_duration,
        max_duration_why=weighed.resolution.max_duration_why,
        approvals=_approvals(weighed),
        rules=weighed.resolution.rules,
        blockers=weighed.blockers,
        notes=tuple(obstacle.sentence for obstacle in weighed.obstacles if not obstacle.is_whole),
        already=tuple(_already(planned.before, target, subject, is_self=actor.pk == subject.pk, at=seconds(at))),
        risk=judge_risk(subject, target, duration),
        affected=tuple(Person(one.key, one.name) for one in affected(subject)),
        others=_others(planned.before, target, subject.key, seconds(at)),
        planned=planned,
        wish=target.wish,
    )


def _approvals(weighed: Weighed) -> tuple[Approval, ...]:
    pairs = zip(weighed.resolution.needs, weighed.able, strict=True)
    return tuple(Approval(need.name, need.sentence, need.count, tuple(people.values())) for need, people in pairs)


def _graph_around(subject: Subject, service: Service, where: Environment, at: datetime) -> graph.AccessGraph:
    return slice_around(service_slug=service.slug, environment_slug=where.slug, subject_key=subject.key, at=at)


def _plan(before: graph.AccessGraph, subject: Subject, target: Target, duration: int, at: datetime) -> Planned:
    if target.wish is not None:
        ends_at = seconds(at) + duration
        rule = proposed_rule(target.wish, subject, target, starts_at=seconds(at), ends_at=ends_at)
        return _between(before, replace(before, traffic=(*before.traffic, rule)), PROPOSED, at)
    proposed = graph.Grant(
        id=PROPOSED,
        subject=subject.key,
        service=target.service.slug,
        routes=target.route_keys,
        points=target.graph_points,
        starts_at=seconds(at),
        ends_at=seconds(at) + duration,
    )
    return _between(before, replace(before, grants=(*before.grants, proposed)), PROPOSED, at)


def _between(before: graph.AccessGraph, after: graph.AccessGraph, grant_id: str, at: datetime) -> Planned:
    findings = tuple(one for one in lint(after, seconds(at)) if grant_id in one.grant_ids)
    return Planned(before, after, diff(before, after), findings)


def planned_change(*, request: AccessRequest, at: datetime) -> Planned:
    """What approving ``request`` would change, or what its grant changes while it lives; nothing for the rest."""
    grant = getattr(request, "grant", None)
    if request.subject.kind == graph.SubjectKind.PARTY:
        return _of_addresses(request)
    now = _graph_around(request.subject, request.service, request.environment, at)
    if request.state == RequestState.PENDING:
        target = target_of(request, now.services.get(request.service.slug))
        return _plan(now, request.subject, target, request.duration, at)
    grant_id = grant.public_id if grant else ""
    without = replace(
        now,
        grants=tuple(one for one in now.grants if one.id != grant_id),
        traffic=tuple(one for one in now.traffic if one.id != grant_id),
    )
    return _between(without, now, grant_id, at)


def _of_addresses(request: AccessRequest) -> Planned:
    """Addresses change no token's rights: the graph stays as it is, and a list changes instead."""
    ask = addresses_of(request)
    sentences = opening_words(request.subject.name, ask.host, ask.blocks, request.duration) if ask else ()
    changes = tuple(Change("addresses_added", sentence, request.service.slug) for sentence in sentences)
    return Planned(graph.AccessGraph(), graph.AccessGraph(), Plan(changes), ())


def _already(before: graph.AccessGraph, target: Target, subject: Subject, *, is_self: bool, at: int) -> Iterator[str]:
    """Sentences about what of the ask is open already, and through which grants."""
    if target.wish is not None:
        return
    who = "You" if is_self else subject.name
    by_grants: dict[tuple[tuple[str, ...], graph.Route], set[graph.Point]] = defaultdict(set)
    for route in target.graph_routes:
        for point in sorted(target.graph_points):
            grants = [one for one in _held(before, subject.key) if route.id in one.routes and point in one.points]
            reason, grant_ids = weigh_grants(grants, at)
            if reason is Reason.GRANTED:
                by_grants[grant_ids, route].add(point)
    for (grant_ids, route), points in by_grants.items():
        where = points_words(frozenset(points))
        yield f"{who} already can call {route_words(route)} {where}, through {_through(before, grant_ids)}."


def _held(before: graph.AccessGraph, key: str) -> list[graph.Grant]:
    holders = {key, *(before.subjects[key].teams if key in before.subjects else ())}
    return [grant for grant in before.grants if grant.subject in holders]


def _through(before: graph.AccessGraph, grant_ids: tuple[str, ...]) -> str:
    grants = [grant for grant in before.grants if grant.id in grant_ids]
    return listed(
        f"{_owner(before, grant)} {'without an end' if grant.ends_at is None else f'until {moment(grant.ends_at)}'}"
        for grant in grants
    )


def _owner(before: graph.AccessGraph, grant: graph.Grant) -> str:
    holder = before.subjects.get(grant.subject)
    if holder is not None and holder.kind is graph.SubjectKind.TEAM:
        return f"{holder.name} ({grant.id})"
    return grant.id


def _others(before: graph.AccessGraph, target: Target, key: str, at: int) -> tuple[Person, ...]:
    """Who else can call something of what is asked for, at a door that is asked for."""
    rows = entitlements(before, target.service.slug, at)
    keys = {row.subject for row in rows if row.route in target.route_keys and row.point in target.graph_points}
    return tuple(Person(one, before.subjects[one].name or one) for one in sorted(keys - {key}))
