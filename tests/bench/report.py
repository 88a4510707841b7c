"""Tables on the screen, and the same numbers as JSON with what the machine was doing meanwhile."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".test/bench"
_BEGAN = time.monotonic()


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def begin(part: str) -> None:
    say(f"\n{part}: {os.cpu_count()} cores, load {_load()}")


def _load() -> str:
    return " ".join(f"{one:.1f}" for one in os.getloadavg())


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was really measured."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -(-int(share * 100) * len(ranked) // 100) - 1))]


def summary(values: Sequence[float]) -> dict[str, float]:
    return {
        "n": len(values),
        "p50": round(statistics.median(values), 2),
        "p95": round(quantile(values, 0.95), 2),
        "max": round(max(values), 2),
    }


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The first column left, the others right."""
    cells = [[str(one) for one in row] for row in (head, *rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    say(f"\n{title}")
    for row in cells:
        first, *others = (
            one.ljust(width) if place == 0 else one.rjust(width)
            for place, (one, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  " + "  ".join([first, *others]))


def write(part: str, results: Mapping[str, object]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {
        "part": part,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - _BEGAN, 1),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": list(os.getloadavg())},
        **results,
    }
    path = FOLDER / f"{part}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    where = path.relative_to(FOLDER.parents[1])
    say(f"\n{part}: {document['seconds']} s, load at the end {_load()}; numbers in {where}")
