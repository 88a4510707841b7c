"""Where everything of the picture stands. Pure: names in, coordinates out, the same for the same.

Whoever is outside has the first column. Services stand by how deep they are called: each to the right of all that call
it, unless they call each other in a circle, of which one line then runs back. A line that passes a column runs between
its nodes, together with the others of its lane that go to the same place. So no line runs through a node.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

NODE_WIDTH, NODE_HEIGHT = 144, 44
THREAD_HEIGHT = 4
BETWEEN = 14
USUAL_WIDTH = 920
NARROWEST_GAP, WIDEST_GAP = 74, 170
BACK, DENIED = 9, 7
"""How far below the middle of a node the lines that run back, and those of what was denied, begin and end."""
SWEEPS = 6

Pair = tuple[str, str]
Line = tuple[str, str, str]
"""Source, target, lane: "open", or "denied" for what runs beside it."""
Points = tuple[tuple[int, int], ...]
Item = tuple[str, str, int]
"""What has a place in a column: a node, or where the lines to one end pass. Kind, name, column."""

Tie = tuple[Item, Item]


@dataclass(frozen=True, slots=True)
class Spot:
    """The upper left corner of a node."""

    x: int
    y: int
    column: int

    @property
    def middle(self) -> int:
        return self.y + NODE_HEIGHT // 2


@dataclass(frozen=True, slots=True)
class Way:
    """The points a line runs through, from its source to its target."""

    points: Points
    is_back: bool


@dataclass(frozen=True, slots=True)
class Layout:
    width: int
    height: int
    gap: int
    spots: Mapping[str, Spot]
    ways: Mapping[Line, Way]


def lay_out(outside: Sequence[str], inside: Sequence[str], lines: Collection[Line]) -> Layout:
    """``lines`` go from a node to one that is inside, and never to where they come from."""
    running = sorted(set(lines))
    pairs = sorted({(source, target) for source, target, _ in running})
    circles = circling(inside, pairs)
    columns = _columns(outside, inside, [_along(pair, circles) for pair in pairs])
    back = {line for line in running if line[:2] in circles}
    chains = {line: tuple(_chain(line, line in back, columns)) for line in running}
    ties = sorted({pair for chain in chains.values() for pair in pairwise(chain)})
    orders = _ordered([*outside, *inside], columns, chains.values(), ties)
    middles = _placed(orders, ties)
    return _measured(columns, chains, back, middles)


def circling(inside: Sequence[str], lines: Sequence[Pair]) -> frozenset[Pair]:
    """Those to turn around so that none is part of a circle."""
    onward: dict[str, list[str]] = defaultdict(list)
    for source, target in lines:
        onward[source].append(target)
    entered = {source for source, _ in lines} - {target for _, target in lines}
    found: set[Pair] = set()
    done: set[str] = set()
    for start in sorted(inside, key=lambda one: (one not in entered, one)):
        _follow(start, onward, [], done, found)
    return frozenset(found)


def _follow(node: str, onward: Mapping[str, list[str]], path: list[str], done: set[str], found: set[Pair]) -> None:
    if node in done:
        return
    done.add(node)
    path.append(node)
    for after in onward.get(node, ()):
        if after in path:
            found.add((node, after))
        else:
            _follow(after, onward, path, done, found)
    path.pop()


def _along(pair: Pair, circles: Collection[Pair]) -> Pair:
    return (pair[1], pair[0]) if pair in circles else pair


def _columns(outside: Sequence[str], inside: Sequence[str], lines: Sequence[Pair]) -> dict[str, int]:
    """By the longest way there. What nothing is tied to fills the columns that have fewest."""
    first = 1 if outside else 0
    columns = dict.fromkeys(outside, 0)
    callers: dict[str, list[str]] = defaultdict(list)
    for source, target in lines:
        callers[target].append(source)
    for node in inside:
        _deepen(node, callers, columns, first)
    tied = {end for line in lines for end in line}
    counts = dict.fromkeys(range(first, max([first, *columns.values()]) + 1), 0)
    for node in inside:
        if node in tied:
            counts[columns[node]] += 1
    for node in inside:
        if node not in tied:
            columns[node] = min(counts, key=lambda column: (counts[column], column))
            counts[columns[node]] += 1
    return columns


def _deepen(node: str, callers: Mapping[str, list[str]], columns: dict[str, int], first: int) -> int:
    if node not in columns:
        before = (_deepen(caller, callers, columns, first) for caller in callers.get(node, ()))
        columns[node] = max([first, *(column + 1 for column in before)])
    return columns[node]


def _chain(line: Line, is_back: bool, columns: Mapping[str, int]) -> Iterator[Item]:
    """From left to right: the node, where the line passes, the other node."""
    source, target, lane = line
    left, right = (target, source) if is_back else (source, target)
    yield "node", left, columns[left]
    for column in range(columns[left] + 1, columns[right]):
        yield f"{lane} back" if is_back else lane, target, column
    yield "node", right, columns[right]


def _ordered(
    nodes: Sequence[str],
    columns: Mapping[str, int],
    chains: Collection[Sequence[Item]],
    ties: Sequence[Tie],
) -> list[list[Item]]:
    """Each column from top to bottom, with few crossings: each item near the middle of what it is tied to."""
    passing = sorted({item for chain in chains for item in chain[1:-1]})
    orders: list[list[Item]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
    for item in [*(("node", name, columns[name]) for name in nodes), *passing]:
        orders[item[2]].append(item)
    best, fewest = orders, crossings(orders, ties)
    left, right = _neighbours(ties)
    for sweep in range(SWEEPS):
        near, way = (left, range(1, len(orders))) if sweep % 2 == 0 else (right, range(len(orders) - 2, -1, -1))
        orders = [list(order) for order in orders]
        for column in way:
            orders[column] = _sorted(orders[column], orders[column + (-1 if sweep % 2 == 0 else 1)], near)
        found = crossings(orders, ties)
        if found < fewest:
            best, fewest = orders, found
    return best


def _neighbours(ties: Sequence[Tie]) -> tuple[dict[Item, list[Item]], dict[Item, list[Item]]]:
    left: dict[Item, list[Item]] = defaultdict(list)
    right: dict[Item, list[Item]] = defaultdict(list)
    for one, other in ties:
        left[other].append(one)
        right[one].append(other)
    return left, right


def _sorted(order: Sequence[Item], beside: Sequence[Item], near: Mapping[Item, list[Item]]) -> list[Item]:
    """What is tied to nothing on that side goes last, in its old order."""
    places = {item: place for place, item in enumerate(beside)}
    means = {item: _mean([places[one] for one in near[item]]) for item in order if near.get(item)}
    return sorted(order, key=lambda item: means.get(item, float("inf")))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def crossings(orders: Sequence[Sequence[Item]], ties: Collection[Tie]) -> int:
    places = {item: place for order in orders for place, item in enumerate(order)}
    gaps: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one, other in ties:
        gaps[one[2]].append((places[one], places[other]))
    count = 0
    for pairs in gaps.values():
        ends: list[int] = []
        for _, end in sorted(pairs):
            count += len(ends) - bisect(ends, end)
            insort(ends, end)
    return count


def _placed(orders: Sequence[Sequence[Item]], ties: Sequence[Tie]) -> dict[Item, float]:
    """The middle of each item: as level with what it is tied to as its column allows."""
    left, right = _neighbours(ties)
    middles = {item: place for order in orders for item, place in zip(order, _stacked(order), strict=True)}
    for near in (left, right, left):
        for order in orders if near is left else reversed(orders):
            wished = [
                _mean([middles[one] for one in near[item]]) if near.get(item) else middles[item] for item in order
            ]
            middles.update(zip(order, apart(wished, _steps(order)), strict=True))
    return middles


def _stacked(order: Sequence[Item]) -> list[float]:
    """One below the other, around nought."""
    steps = _steps(order)
    return [place - steps[-1] / 2 for place in steps] if steps else []


def _steps(order: Sequence[Item]) -> list[float]:
    """How far each must be below the first."""
    steps, height = [], 0.0
    for place, item in enumerate(order):
        if place:
            height += (_height(order[place - 1]) + _height(item)) / 2 + BETWEEN
        steps.append(height)
    return steps


def _height(item: Item) -> int:
    return NODE_HEIGHT if item[0] == "node" else THREAD_HEIGHT


def apart(wished: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The places nearest to those wished for, in this order and so far apart: neighbours too close share a middle."""
    blocks: list[tuple[float, int]] = []
    for wish, step in zip(wished, steps, strict=True):
        mean, count = wish - step, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    level = [mean for mean, count in blocks for _ in range(count)]
    return [place + step for place, step in zip(level, steps, strict=True)]


def _measured(
    columns: Mapping[str, int],
    chains: Mapping[Line, Sequence[Item]],
    back: Collection[Line],
    middles: Mapping[Item, float],
) -> Layout:
    many = max(columns.values(), default=0) + 1
    gap = (USUAL_WIDTH - many * NODE_WIDTH) // max(many - 1, 1)
    gap = min(max(gap, NARROWEST_GAP), WIDEST_GAP)
    top = min((middle - _height(item) / 2 for item, middle in middles.items()), default=0)
    level = {item: round(middle - top) for item, middle in middles.items()}
    spots = {name: Spot(column * (NODE_WIDTH + gap), level["node", name, column] - NODE_HEIGHT // 2, column)
             for name, column in columns.items()}  # fmt: skip
    height = max((level[item] + _height(item) // 2 for item in level), default=0)
    ways = {}
    for line, chain in chains.items():
        lower = BACK * (line in back) + DENIED * (line[2] == "denied")
        points = _points(chain, level, gap, lower)
        ways[line] = Way(tuple(reversed(points)) if line in back else points, line in back)
    return Layout(many * NODE_WIDTH + (many - 1) * gap, height, gap, spots, ways)


def _points(chain: Sequence[Item], level: Mapping[Item, int], gap: int, lower: int) -> Points:
    """From left to right."""
    first, *passing, last = chain
    found = [(first[2] * (NODE_WIDTH + gap) + NODE_WIDTH, level[first] + lower)]
    for item in passing:
        x = item[2] * (NODE_WIDTH + gap)
        found += [(x, level[item]), (x + NODE_WIDTH, level[item])]
    found.append((last[2] * (NODE_WIDTH + gap), level[last] + lower))
    return tuple(found)
