"""What changes between two graphs, in words a reviewer reads, and between two bundles, as text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from apps.compiler.artifacts import Artifact
from apps.compiler.graph import (
    AccessGraph,
    Cause,
    Denial,
    EdgeExposure,
    Grant,
    Guardrail,
    MeshExposure,
    Protocol,
    Route,
    Service,
    Subject,
    TrafficRule,
)
from apps.compiler.traffic_words import rule_words, variants_words
from apps.compiler.words import grant_words, listed, moment, route_words, service_name, subject_name

_CAUSES = {Cause.SUSPENDED: "suspended", Cause.REVOKED: "tokens revoked", Cause.BUDGET: "budget spent"}

Item = TypeVar("Item", Grant, Guardrail, Service, Subject, Route, TrafficRule)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``kind`` is ``<what>_<what happens to it>``; an id that says nothing is ``""``."""

    kind: str
    sentence: str
    service: str = ""
    subject: str = ""
    grant_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Empty exactly when both graphs say the same."""

    changes: tuple[Change, ...] = ()


def diff(old: AccessGraph, new: AccessGraph) -> Plan:
    """Grants first, since they are what most readers came for.

    Both graphs may be slices of one service; give both the same subjects, or those of one only count as new or gone.
    """
    return Plan(
        (
            *_grant_changes(old, new),
            *_traffic_changes(old, new),
            *_guardrail_changes(old, new),
            *_denial_changes(old, new),
            *chain.from_iterable(_service_changes(*pair) for pair in _differing(old.services, new.services)),
            *chain.from_iterable(_subject_changes(old, new, *pair) for pair in _differing(old.subjects, new.subjects)),
        )
    )


def _differing(old: Mapping[str, Item], new: Mapping[str, Item]) -> Iterator[tuple[Item | None, Item | None]]:
    """Pairs (before, after) of what is not the same, in order of id; None where there is nothing."""
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield before, after


def _by_id(items: Iterable[Item]) -> dict[str, Item]:
    return {item.id: item for item in items}


def _grant_changes(old: AccessGraph, new: AccessGraph) -> Iterator[Change]:
    for before, after in _differing(_by_id(old.grants), _by_id(new.grants)):
        if before is None and after is not None:
            yield _of_grant("grant_added", after, f"{_holder(new, after)} may {grant_words(new, after)}.")
        elif after is None and before is not None:
            yield _of_grant(
                "grant_removed", before, f"{_holder(old, before)} may no longer {grant_words(old, before)}."
            )
        elif before is not None and after is not None:
            was, now = _with_start(old, before), _with_start(new, after)
            yield _of_grant("grant_changed", after, f"{now}. Until now: {was}.")


def _holder(graph: AccessGraph, grant: Grant) -> str:
    return subject_name(graph, grant.subject)


def _with_start(graph: AccessGraph, grant: Grant) -> str:
    return f"{_holder(graph, grant)} may {grant_words(graph, grant)}, starting {moment(grant.starts_at)}"


def _of_grant(kind: str, grant: Grant, sentence: str) -> Change:
    return Change(kind, sentence, grant.service, grant.subject, grant.id)


def _traffic_changes(old: AccessGraph, new: AccessGraph) -> Iterator[Change]:
    for before, after in _differing(_by_id(old.traffic), _by_id(new.traffic)):
        if before is None and after is not None:
            yield _of_rule("traffic_added", after, f"From now on {rule_words(new, after)}.")
        elif after is None and before is not None:
            yield _of_rule("traffic_removed", before, f"No longer: {rule_words(old, before)}.")
        elif before is not None and after is not None:
            was, now = (f"{rule_words(g, r)}, starting {moment(r.starts_at)}" for g, r in ((old, before), (new, after)))
            yield _of_rule("traffic_changed", after, f"Now {now}. Until now: {was}.")


def _of_rule(kind: str, rule: TrafficRule, sentence: str) -> Change:
    return Change(kind, sentence, rule.service, rule.subject, rule.id)


def _guardrail_changes(old: AccessGraph, new: AccessGraph) -> Iterator[Change]:
    for before, after in _differing(_by_id(old.guardrails), _by_id(new.guardrails)):
        if before is None and after is not None:
            yield Change("guardrail_added", f"A new guardrail stands: {_reach(new, after)}")
        elif after is None and before is not None:
            yield Change("guardrail_removed", f"A guardrail falls: {_reach(old, before)}")
        elif before is not None and after is not None:
            yield Change(
                "guardrail_changed", f"A guardrail moves: {_reach(new, after)} Until now: {_reach(old, before)}"
            )


def _denial_changes(old: AccessGraph, new: AccessGraph) -> Iterator[Change]:
    """Services are left out: a denial is about somebody, and known where it could matter."""
    before, after = ({(d.subject, d.cause): d for d in one.denials} for one in (old, new))
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if now is not None and now != was:
            kind = "denial_added" if was is None else "denial_changed"
            yield Change(kind, f"{subject_name(new, now.subject)} is turned away: {_denial(now)}.", subject=now.subject)
        elif was is not None and now is None:
            sentence = f"The denial of {subject_name(old, was.subject)} goes: {_denial(was)}."
            yield Change("denial_removed", sentence, subject=was.subject)


def _denial(denial: Denial) -> str:
    whose = "" if denial.issued_until is None else f", tokens made out until {moment(denial.issued_until)}"
    return f"{_CAUSES[denial.cause]}{whose}, until {moment(denial.until)}"


def _reach(graph: AccessGraph, guardrail: Guardrail) -> str:
    """Its own sentence, then what it selects, so that no difference is left unsaid."""
    whom = [*(f"every {kind.value}" for kind in sorted(guardrail.kinds)), *_names(graph, guardrail.subjects)]
    services = sorted(service_name(graph, service) for service in guardrail.services)
    parts = [
        f"for {listed(whom) or 'everybody'}",
        f"on {listed(services) or 'every service'}",
        f"routes {listed(sorted(guardrail.routes))}" if guardrail.routes else "",
        f"methods {listed(sorted(guardrail.methods))}" if guardrail.methods else "",
        f"at the {listed(sorted(point.value for point in guardrail.points))}" if guardrail.points else "",
    ]
    return f"{guardrail.sentence.rstrip('.')}: {', '.join(filter(None, parts))} ({guardrail.id})."


def _names(graph: AccessGraph, subjects: Iterable[str]) -> list[str]:
    return sorted(subject_name(graph, subject) for subject in subjects)


def _service_changes(before: Service | None, after: Service | None) -> Iterator[Change]:
    if before is None and after is not None:
        yield Change("service_added", f"{_title(after)} joins, {_where(after)}.", after.id)
        yield from _route_changes(Service(after.id, after.name), after)
    elif after is None and before is not None:
        yield Change("service_removed", f"{_title(before)} leaves; it was {_where(before)}.", before.id)
    elif before is not None and after is not None:
        yield from _service_details(before, after)
        yield from _route_changes(before, after)


def _service_details(before: Service, after: Service) -> Iterator[Change]:
    if before.name != after.name:
        yield Change("service_renamed", f"{_title(before)} is now called {_title(after)}.", after.id)
    if before.edge != after.edge:
        sentence = f"{_title(after)} is {_at_edge(after.edge)}; it was {_at_edge(before.edge)}."
        yield Change("service_edge_changed", sentence, after.id)
    if before.mesh != after.mesh:
        sentence = f"{_title(after)} is {_in_mesh(after.mesh)}; it was {_in_mesh(before.mesh)}."
        yield Change("service_mesh_changed", sentence, after.id)
    if before.variants != after.variants:
        sentence = f"{_title(after)} has other versions: {variants_words(after)}; it had {variants_words(before)}."
        yield Change("service_variants_changed", sentence, after.id)


def _title(service: Service) -> str:
    return service.name or service.id


def _where(service: Service) -> str:
    return f"{_at_edge(service.edge)} and {_in_mesh(service.mesh)}"


def _at_edge(edge: EdgeExposure | None) -> str:
    return "not at the edge" if edge is None else f"at the edge as {edge.host}{edge.base_path}"


def _in_mesh(mesh: MeshExposure | None) -> str:
    if mesh is None:
        return "not in the mesh"
    if mesh.protocol is Protocol.TCP:
        return f"in the mesh as {mesh.workload} ({mesh.namespace}, plain TCP on port {mesh.upstream_port})"
    return f"in the mesh as {mesh.workload} ({mesh.namespace}, port {mesh.port}, application port {mesh.upstream_port})"


def _route_changes(before: Service, after: Service) -> Iterator[Change]:
    for old, new in _differing(_by_id(before.routes), _by_id(after.routes)):
        if old is None and new is not None:
            yield Change("route_added", f"{_title(after)} answers {route_words(new)}.", after.id)
        elif new is None and old is not None:
            yield Change("route_removed", f"{_title(after)} no longer answers {route_words(old)}.", after.id)
        elif old is not None and new is not None:
            sentence = f"{_title(after)} answers {route_words(new)} where it answered {route_words(old)}."
            yield Change("route_changed", sentence, after.id)


def _subject_changes(
    old: AccessGraph, new: AccessGraph, before: Subject | None, after: Subject | None
) -> Iterator[Change]:
    if before is None and after is not None:
        yield Change("subject_added", f"{_who(after)} is known{_state(new, after)}.", subject=after.id)
    elif after is None and before is not None:
        yield Change("subject_removed", f"{_who(before)} is no longer known.", subject=before.id)
    elif before is not None and after is not None:
        yield from _subject_details(before, after)
        yield from _team_changes(old, new, before, after)


def _who(subject: Subject) -> str:
    return f"{subject.name} ({subject.id})" if subject.name else subject.id


def _state(graph: AccessGraph, subject: Subject) -> str:
    teams = f", in {listed(_names(graph, subject.teams))}" if subject.teams else ""
    return f"{teams}, but suspended" if not subject.active else teams


def _subject_details(before: Subject, after: Subject) -> Iterator[Change]:
    if before.active and not after.active:
        yield Change("subject_suspended", f"{_who(after)} is suspended and may do nothing.", subject=after.id)
    if after.active and not before.active:
        yield Change("subject_restored", f"{_who(after)} is no longer suspended.", subject=after.id)
    if before.calls_per_minute != after.calls_per_minute:
        many = "any number of" if after.calls_per_minute is None else f"at most {after.calls_per_minute}"
        yield Change("subject_limited", f"{_who(after)} may make {many} calls a minute.", subject=after.id)
    if (before.name, before.kind) != (after.name, after.kind):
        sentence = f"{_who(before)}, {before.kind.value}, is now {_who(after)}, {after.kind.value}."
        yield Change("subject_renamed", sentence, subject=after.id)


def _team_changes(old: AccessGraph, new: AccessGraph, before: Subject, after: Subject) -> Iterator[Change]:
    for team in sorted(after.teams - before.teams):
        yield Change("team_joined", f"{_who(after)} joins {subject_name(new, team)}.", subject=after.id)
    for team in sorted(before.teams - after.teams):
        yield Change("team_left", f"{_who(after)} leaves {subject_name(old, team)}.", subject=after.id)


def raw_diff(old: Iterable[Artifact], new: Iterable[Artifact]) -> dict[str, str]:
    """Unified text of each artifact that differs, by path; one line of JSON is laid out so that it can be read."""
    before = {artifact.path: artifact for artifact in old}
    after = {artifact.path: artifact for artifact in new}
    texts = {path: _unified(path, before.get(path), after.get(path)) for path in sorted(before.keys() | after.keys())}
    return {path: text for path, text in texts.items() if text}


def _unified(path: str, before: Artifact | None, after: Artifact | None) -> str:
    old, new = _lines(before), _lines(after)
    return "\n".join(difflib.unified_diff(old, new, f"before/{path}", f"after/{path}", lineterm=""))


def _lines(artifact: Artifact | None) -> list[str]:
    if artifact is None:
        return []
    text = artifact.content.decode(errors="replace")
    if artifact.media_type == "application/json":
        text = text.replace("],[", "],\n[").replace(',"', ',\n"')
    return text.splitlines()
