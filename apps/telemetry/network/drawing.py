"""The picture as shapes: nodes where they stand, lines as curves, what is refused in front. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log10

from apps.telemetry.network.composing import Line, Node, Picture, found_by
from apps.telemetry.network.layout import NODE_WIDTH, Spot, Way, apart, lay_out

THINNEST, PER_TENFOLD = 1.3, 1.0
LABEL_HEIGHT, LABEL_STEP = 18, 21
FROM_NODE = 10
STOP = 5
"""Half of the bar at which a denied line ends."""
INSIDE = ("service", "workload")


@dataclass(frozen=True, slots=True)
class Curve:
    """``look`` is quiet, busy, moving, failing or denied."""

    path: str
    width: float
    look: str


@dataclass(frozen=True, slots=True)
class Label:
    """What was denied to one caller, with what finds it on Live; or how a line's doors are, where that is not plain.

    ``x`` and ``y`` are its middle.
    """

    x: int
    y: int
    width: int
    words: str = ""
    query: str = ""
    edge: str = ""
    mesh: str = ""

    @property
    def left(self) -> int:
        return self.x - self.width // 2

    @property
    def top(self) -> int:
        return self.y - LABEL_HEIGHT // 2

    @property
    def middle(self) -> int:
        return self.width // 2


@dataclass(frozen=True, slots=True)
class Stand:
    """A node and where it stands."""

    node: Node
    spot: Spot


@dataclass(frozen=True, slots=True)
class Drawing:
    """``edge_x`` is where those outside end, None where nobody is outside. ``heads`` are those of all arrows."""

    width: int
    height: int
    edge_x: int | None
    curves: tuple[Curve, ...]
    heads: str
    stands: tuple[Stand, ...]
    labels: tuple[Label, ...]


def draw(picture: Picture) -> Drawing:
    inside = [node.id for node in picture.nodes.values() if node.kind in INSIDE]
    outside = [node.id for node in picture.nodes.values() if node.kind not in INSIDE]
    lines = {(line.source, line.target, lane): line for line in picture.lines for lane in _lanes(line)}
    found = lay_out(outside, inside, lines)
    ways = {key: (line, found.ways[key]) for key, line in lines.items()}
    return Drawing(
        found.width,
        found.height,
        NODE_WIDTH + found.gap // 2 if outside and inside else None,
        tuple(sorted((_curve(lane, *way) for (_, _, lane), way in ways.items()), key=_in_front)),
        "".join(sorted({_head(way) for (_, _, lane), (_, way) in ways.items() if lane == "open"})),
        tuple(Stand(node, found.spots[node.id]) for node in picture.nodes.values()),
        tuple(_labels(ways, found.gap)),
    )


def _lanes(line: Line) -> Iterator[str]:
    if line.is_open:
        yield "open"
    if line.denied:
        yield "denied"


_FROM_BEHIND = ("quiet", "busy", "moving", "failing", "denied")


def _in_front(curve: Curve) -> tuple[int, float, str]:
    return _FROM_BEHIND.index(curve.look), curve.width, curve.path


def _curve(lane: str, line: Line, way: Way) -> Curve:
    path = path_of(way.points)
    if lane == "denied":
        x, y = way.points[-1]
        return Curve(f"{path}M{x} {y - STOP}v{2 * STOP}", THINNEST + 0.4, "denied")
    return Curve(path, weight(line.calls), _look(line))


def _head(way: Way) -> str:
    """Where an open line comes to its node: from the left, or from the right when it runs back."""
    x, y = way.points[-1]
    return f"M{x + 5} {y - 4}l-4 4 4 4" if way.is_back else f"M{x - 5} {y - 4}l4 4-4 4"


def weight(calls: int) -> float:
    """Ten times the calls are a little thicker, so that the busiest does not hide the others."""
    return round(THINNEST + PER_TENFOLD * log10(1 + calls), 1)


def _look(line: Line) -> str:
    if "failing" in (line.edge, line.mesh):
        return "failing"
    if line.moves:
        return "moving"
    return "busy" if line.calls else "quiet"


def path_of(points: Collection[tuple[int, int]]) -> str:
    """Level at each point; straight where nothing is between two of them but a node's width."""
    (x, y), *_ = points
    parts = [f"M{x} {y}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (x + to_x) // 2
        parts.append(f"H{to_x}" if y == to_y else f"C{middle} {y} {middle} {to_y} {to_x} {to_y}")
    return "".join(parts)


Ways = Mapping[tuple[str, str, str], tuple[Line, Way]]


def _labels(ways: Ways, gap: int) -> Iterator[Label]:
    """In the gaps; those that would lie upon each other move apart."""
    beside: dict[int, list[Label]] = defaultdict(list)
    for label in (*_denials(ways, gap), *_marks(ways)):
        beside[label.x // (NODE_WIDTH + gap)].append(label)
    for _, many in sorted(beside.items()):
        many.sort(key=lambda one: (one.y, one.words, one.query))
        steps = [float(LABEL_STEP * place) for place in range(len(many))]
        for label, y in zip(many, apart([label.y for label in many], steps), strict=True):
            yield replace(label, y=round(y))


def _denials(ways: Ways, gap: int) -> Iterator[Label]:
    """One for each caller, where its lines begin."""
    by_source: dict[str, list[tuple[Line, Way]]] = defaultdict(list)
    for (source, _, lane), drawn in ways.items():
        if lane == "denied":
            by_source[source].append(drawn)
    for many in by_source.values():
        (line, way), *others = many
        (x, y), (to_x, _), *_ = way.points
        words = f"{sum(each.denied for each, _ in many)} denied"
        width = min(14 + 6 * len(words), gap - 4)
        away = (min(FROM_NODE, (gap - width) // 2) + width // 2) * (1 if to_x > x else -1)
        yield Label(x + away, y, width, words, found_by("" if others else line.target, line.caller))


def _marks(ways: Ways) -> Iterator[Label]:
    """In the middle of the last stretch of a line of which a door moves, fails or is missing."""
    for (_, _, lane), (line, way) in ways.items():
        if lane == "open" and (line.moves or line.has_gap):
            (x, y), (to_x, to_y) = way.points[-2:]
            yield Label((x + to_x) // 2, (y + to_y) // 2, 46, edge=line.edge, mesh=line.mesh)
