"""The way of a call, hop by hop: which controls stand on it, what each says now, and what each would say after.

Every verdict comes from decide() and from the address lists, never from a picture of them. What Sallyport does not
control is named and not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from apps.compiler import address_lists
from apps.compiler.addresses import within, write
from apps.compiler.decide import Decision
from apps.compiler.graph import AccessGraph, Point, Service, SubjectKind
from apps.compiler.reasons import TEXTS, Reason
from apps.compiler.words import listed
from apps.firewall.live import Asked, Live, acting_member, decisions_of, with_grant

if TYPE_CHECKING:
    from apps.rollout.selectors import Place

PROPOSED = "proposed"


class Says(StrEnum):
    """What a control does with the call."""

    PASSES = "passes"
    PARTLY = "partly"
    BLOCKS = "blocks"
    FOLLOWS = "follows"
    UNKNOWN = "unknown"


WORDS = {
    Says.PASSES: "lets it through",
    Says.PARTLY: "lets a part through",
    Says.BLOCKS: "blocks it",
    Says.FOLLOWS: "follows the others",
    Says.UNKNOWN: "is not ours to know",
}
OF_CALLER = {
    Reason.NO_GRANT: "Nobody has opened this to {0}.",
    Reason.GRANT_NOT_STARTED: "Access of {0} has not started yet.",
    Reason.GRANT_EXPIRED: "Access of {0} has ended.",
}
"""A door speaks to whoever calls; this page is read by others."""
DOOR = {Says.PASSES: "open", Says.PARTLY: "opening", Says.BLOCKS: "closed", Says.FOLLOWS: "", Says.UNKNOWN: ""}


@dataclass(frozen=True, slots=True)
class Hop:
    """``code`` is stable: source, list, edge, ingress, sidecar, cluster, service. ``place`` names the target.

    ``after`` is what it would say were the line granted; None for a hop that decides nothing.
    """

    code: str
    name: str
    place: str
    sentence: str
    now: Says | None = None
    after: Says | None = None

    @property
    def changes(self) -> bool:
        return self.now is not None and self.now != self.after

    @property
    def door(self) -> str:
        return DOOR[self.now] if self.now is not None else "unused"

    @property
    def door_after(self) -> str:
        return DOOR[self.after] if self.after is not None else "unused"

    @property
    def words(self) -> str:
        return WORDS[self.now] if self.now is not None else ""

    @property
    def words_after(self) -> str:
        return WORDS[self.after] if self.after is not None else ""


def hops_of(live: Live, asked: Asked, shape: Service, source: str, places: Sequence[Place]) -> tuple[Hop, ...]:
    """From who calls to what is called. ``source`` is how the caller is named; ``places`` are the targets there are."""
    return (
        Hop("source", source, "", _source_words(asked)),
        *_edge_hops(live, asked, shape, places, source),
        *_mesh_hops(live, asked, shape, places, source),
        Hop("service", shape.name, "", _service_words(shape)),
    )


def _source_words(asked: Asked) -> str:
    if asked.kind == SubjectKind.PARTY:
        return f"Calls from {listed(write(block) for block in asked.blocks)}. An address is not an identity."
    if asked.kind == SubjectKind.WORKLOAD:
        return "Shows the certificate of its workload to the next sidecar."
    return "Shows an edge token or a session."


def _service_words(shape: Service) -> str:
    return (
        f"Answers on port {shape.mesh.upstream_port}{'' if shape.is_tcp else ' behind its sidecar'}."
        if shape.mesh
        else "Answers behind the edge."
    )


def _edge_hops(live: Live, asked: Asked, shape: Service, places: Sequence[Place], source: str) -> Iterator[Hop]:
    if shape.edge is None or Point.EDGE not in asked.points:
        return
    place = _place(places, Point.EDGE)
    yield _list_hop(live, asked, shape.edge.host, place)
    if asked.kind == SubjectKind.PARTY:
        said = "Asks whoever comes from there for a token, as ever: the list alone opens nothing behind it."
        yield Hop("edge", "Edge policy", place, said, Says.UNKNOWN, Says.UNKNOWN)
        return
    now, after = _verdicts(live, asked, shape, Point.EDGE)
    yield Hop("edge", "Edge policy", place, _why(live, asked, shape, Point.EDGE, now, source), now, after)


def _list_hop(live: Live, asked: Asked, host: str, place: str) -> Hop:
    """Whom a list lets as far as the token check. Where a person calls from is not known beforehand."""
    if host not in live.lists.hosts:
        said = f"No list guards {host}: any address comes as far as the token check."
        return Hop("list", "Address list", place, said, Says.PASSES, Says.PASSES)
    if asked.kind != SubjectKind.PARTY:
        said = f"A list guards {host}: the caller's address has to be on it too."
        return Hop("list", "Address list", place, said, Says.UNKNOWN, Says.UNKNOWN)
    items = address_lists.items(live.lists, host, live.at)
    missing = [write(block) for block in asked.blocks if not any(within(block, item.block) for item in items)]
    if missing:
        return Hop("list", "Address list", place, f"{listed(missing)} is not on it.", Says.BLOCKS, Says.PASSES)
    return Hop("list", "Address list", place, "All of these addresses are on it.", Says.PASSES, Says.PASSES)


def _mesh_hops(live: Live, asked: Asked, shape: Service, places: Sequence[Place], source: str) -> Iterator[Hop]:
    if shape.mesh is None or Point.MESH not in asked.points:
        return
    place = _place(places, Point.MESH)
    now, after = _verdicts(live, asked, shape, Point.MESH)
    if Point.EDGE in asked.points:
        said = "Checks the context token the edge made out, and the edge's client certificate."
        yield Hop("ingress", "Ingress", place, said, Says.FOLLOWS, Says.FOLLOWS)
    if not shape.is_tcp:
        said = _why(live, asked, shape, Point.MESH, now, source)
        yield Hop("sidecar", f"Sidecar of {shape.name}", place, said, now, after)
    for one in places:
        if one.is_cluster and shape.mesh.namespace in one.namespaces:
            words = f"Policies for the namespace {shape.mesh.namespace} are made from the same grants."
            yield Hop("cluster", "Cluster policies", one.name, words, now, after)


def _place(places: Iterable[Place], point: Point) -> str:
    return next((one.name for one in places if one.point == point and not one.is_cluster), "no target yet")


def _verdicts(live: Live, asked: Asked, shape: Service, point: Point) -> tuple[Says, Says]:
    graph = with_grant(live.graph, asked, PROPOSED, live.at)
    return _says(_asked_at(live.graph, asked, shape, point, live.at)), _says(
        _asked_at(graph, asked, shape, point, live.at)
    )


def _asked_at(graph: AccessGraph, asked: Asked, shape: Service, point: Point, at: int) -> list[Decision]:
    seen, who = acting_member(graph, asked.subject, asked.kind)
    return list(decisions_of(seen, who, shape, asked.routes, [point.value], at))


def _says(decisions: Sequence[Decision]) -> Says:
    allowed = sum(one.allowed for one in decisions)
    if not allowed:
        return Says.BLOCKS
    return Says.PASSES if allowed == len(decisions) else Says.PARTLY


def _why(live: Live, asked: Asked, shape: Service, point: Point, now: Says, source: str) -> str:
    decisions = _asked_at(live.graph, asked, shape, point, live.at)
    if now is Says.PASSES:
        grants = sorted({name for one in decisions for name in one.grant_ids})
        return f"Open by {listed(grants)}."
    reasons = dict.fromkeys(one.reason for one in decisions if not one.allowed)
    return " ".join(OF_CALLER.get(reason, TEXTS[reason].sentence).format(source) for reason in reasons)
