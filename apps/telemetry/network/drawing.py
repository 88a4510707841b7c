"""The picture as shapes: nodes where they stand, lines as curves, what is refused in front. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log10

from apps.telemetry.network.composing import Line, Node, Picture
from apps.telemetry.network.layout import NODE_WIDTH, Spot, Way, apart, lay_out

THINNEST, PER_TENFOLD = 1.3, 1.2
LABEL_HEIGHT, LABEL_STEP = 18, 21
INSIDE = ("service", "workload")


@dataclass(frozen=True, slots=True)
class Curve:
    """``look`` is quiet, busy, moving, failing or denied."""

    path: str
    width: float
    look: str


@dataclass(frozen=True, slots=True)
class Label:
    """On a line: how often it was refused, or how its doors are where that is not plain. ``y`` is its middle."""

    line: Line
    x: int
    y: int
    width: int
    words: str

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
    """A node and where it stands. ``is_met``: a line ends here."""

    node: Node
    spot: Spot
    is_met: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """``edge_x`` is where those outside end, None where nobody is outside."""

    width: int
    height: int
    edge_x: int | None
    curves: tuple[Curve, ...]
    stands: tuple[Stand, ...]
    labels: tuple[Label, ...]


def draw(picture: Picture) -> Drawing:
    inside = [node.id for node in picture.nodes.values() if node.kind in INSIDE]
    outside = [node.id for node in picture.nodes.values() if node.kind not in INSIDE]
    found = lay_out(outside, inside, [(line.source, line.target) for line in picture.lines])
    ways = {line: found.ways[line.source, line.target] for line in picture.lines}
    met = {line.target for line in picture.lines}
    return Drawing(
        found.width,
        found.height,
        NODE_WIDTH + found.gap // 2 if outside and inside else None,
        tuple(sorted((one for line, way in ways.items() for one in _curves(line, way)), key=_in_front)),
        tuple(Stand(node, found.spots[node.id], node.id in met) for node in picture.nodes.values()),
        _labels(ways.items(), found.gap),
    )


_FROM_BEHIND = ("quiet", "busy", "moving", "failing", "denied")


def _in_front(curve: Curve) -> tuple[int, float, str]:
    return _FROM_BEHIND.index(curve.look), curve.width, curve.path


def _curves(line: Line, way: Way) -> Iterable[Curve]:
    path = path_of(way.points)
    if line.is_open:
        yield Curve(path, weight(line.calls), _look(line))
    if line.denied:
        yield Curve(path, THINNEST + 0.5, "denied")


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


def _labels(ways: Iterable[tuple[Line, Way]], gap: int) -> tuple[Label, ...]:
    """In the middle of each line's first stretch; those that would lie upon each other move apart."""
    beside: dict[int, list[tuple[float, str, Line]]] = defaultdict(list)
    for line, way in ways:
        if line.denied or line.moves or line.has_gap:
            (x, y), (to_x, to_y) = way.points[:2]
            beside[(x + to_x) // 2].append(((y + to_y) / 2, line.source + line.target, line))
    return tuple(
        Label(line, x, round(y), *_words(line, gap))
        for x, many in sorted(beside.items())
        for (_, _, line), y in _spread(sorted(many, key=lambda one: one[:2]))
    )


def _spread(many: list[tuple[float, str, Line]]) -> Iterable[tuple[tuple[float, str, Line], float]]:
    steps = [float(LABEL_STEP * place) for place in range(len(many))]
    return zip(many, apart([wish for wish, *_ in many], steps), strict=True)


def _words(line: Line, gap: int) -> tuple[int, str]:
    """Width and words; without words the label is the mark of both doors."""
    if not line.denied:
        return 48, ""
    words = f"{line.denied} denied"
    return min(14 + 6 * len(words), gap - 4), words
