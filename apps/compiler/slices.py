"""Parts of a graph that are enough to compile one service, so that a change costs what it changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from apps.compiler.graph import AccessGraph, Grant, Guardrail, Subject, SubjectKind, TrafficRule


def members(subjects: Mapping[str, Subject]) -> dict[str, tuple[str, ...]]:
    """Ids of the members of each team, suspended ones included, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for subject in subjects.values():
        for team in subject.teams:
            found[team].append(subject.id)
    return {team: tuple(sorted(ids)) for team, ids in found.items()}


def holders(
    grant: Grant | TrafficRule, subjects: Mapping[str, Subject], teams: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Ids of the active actors that hold a grant, or whom a rule is about: its subject, or an active team's members."""
    subject = subjects.get(grant.subject)
    if subject is None or not subject.active:
        return ()
    if subject.kind is not SubjectKind.TEAM:
        return (subject.id,)
    return tuple(member for member in teams.get(subject.id, ()) if subjects[member].active)


def guarded(guardrail: Guardrail, teams: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Ids a guardrail names, with the members of the teams among them (suspended or not), in order.

    The named ids stay in, so that a guardrail on an empty team never reads as a guardrail on everybody.
    """
    reached = (member for team in guardrail.subjects for member in teams.get(team, ()))
    return tuple(sorted(guardrail.subjects.union(reached)))


def split(graph: AccessGraph) -> Iterator[tuple[str, AccessGraph]]:
    """Each service with the slice of the graph that decides about it, in one pass over the grants."""
    teams = members(graph.subjects)
    grants: dict[str, list[Grant]] = defaultdict(list)
    for grant in graph.grants:
        grants[grant.service].append(grant)
    for service in sorted(graph.services):
        yield service, _slice(graph, service, grants[service], teams)


def service_slice(graph: AccessGraph, service: str) -> AccessGraph:
    """The slice of one service."""
    grants = [grant for grant in graph.grants if grant.service == service]
    return _slice(graph, service, grants, members(graph.subjects))


def _slice(graph: AccessGraph, service: str, grants: list[Grant], teams: Mapping[str, tuple[str, ...]]) -> AccessGraph:
    guardrails = tuple(g for g in graph.guardrails if not g.services or service in g.services)
    denials = tuple(
        replace(d, services=frozenset({service})) for d in graph.denials if not d.services or service in d.services
    )
    traffic = tuple(rule for rule in graph.traffic if rule.service == service)
    named = {grant.subject for grant in grants}.union(*(guardrail.subjects for guardrail in guardrails))
    named.update(rule.subject for rule in traffic)
    named.update(denial.subject for denial in denials)
    return AccessGraph(
        subjects=_with_company(graph.subjects, named, teams),
        services={service: graph.services[service]},
        grants=tuple(grants),
        guardrails=guardrails,
        denials=denials,
        traffic=traffic,
    )


def _with_company(
    subjects: Mapping[str, Subject], named: Iterable[str], teams: Mapping[str, tuple[str, ...]]
) -> dict[str, Subject]:
    """The named subjects and the members of the named teams, in order of id."""
    wanted = set(named)
    wanted.update(member for team in tuple(wanted) for member in teams.get(team, ()))
    return {subject: subjects[subject] for subject in sorted(wanted) if subject in subjects}
