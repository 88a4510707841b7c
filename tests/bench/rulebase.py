"""A rule base of 10,000 lines: read, compared, cleaned and proven; and how that grows beside asking every packet.

Pure work in one process, no database. Seconds are of our processor time: a busy machine stretches only those on the
clock. Peak memory is a fresh process's own, lines included.
"""

from __future__ import annotations

import json
import random
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from apps.firewall.lines import Line
from apps.firewall.rulebase.analysis import analyse
from apps.firewall.rulebase.clean import clean
from apps.firewall.rulebase.findings import HARMLESS, Analysis
from apps.firewall.rulebase.parse import Format, parse
from tests.bench import report, scratch
from tests.firewall.brute import Probe, decide, matches, universe

T = TypeVar("T")
SEED = 20261126
SMALL = 120
HOSTS = (0, 10, 11, 12, 20, 21, 50, 128)
HEADING = "source,destination,protocol,port,action,hits"
PORTS = (*("443", "80", "22", "5432", "8080", "53", "9092", "3306", "443,8443", "8000-8099") * 6, "1024-65535", "any")


def main(databases: scratch.Databases, *, quick: bool) -> None:
    sizes = (500, 1000) if quick else (1000, 3000, 10_000)
    kinds = {"blocks": written, "names": named}
    found = [_apart(kind, size) for kind in kinds for size in sizes]
    head = ("kind", "lines", "read s", "compared s", "cleaned and proven s", "findings", "undecided", "peak MB")
    names = ("kind", "lines", "read", "compared", "cleaned", "findings", "undecided", "peak")
    report.table("A rule base, in CPU seconds", head, [tuple(one[name] for name in names) for one in found])
    slow = beside_brute_force(SMALL // 2 if quick else SMALL)
    report.table(
        "Beside asking every packet of a small world",
        ("lines", "packets", "ours CPU s", "every packet CPU s", "times"),
        [(slow["lines"], slow["packets"], f"{slow['ours']:.3f}", f"{slow['brute']:.1f}", f"{slow['ratio']:,.0f}")],
    )
    report.write("rulebase", {"runs": found, "brute_force": slow})


def _apart(kind: str, size: int) -> dict[str, object]:
    """In a fresh process, so that the peak is of this size alone."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rulebase", kind, str(size)], capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def measure(kind: str, size: int) -> dict[str, object]:
    text = {"blocks": written, "names": named}[kind](size)
    read, parsed = timed(lambda: parse(text, Format.TABLE))
    assert not parsed.problems, parsed.problems[:3]
    compared, analysis = timed(lambda: analyse(parsed.lines))
    chosen = [one for one in analysis.findings if one.code in HARMLESS]
    cleaned, result = timed(lambda: clean(parsed.lines, chosen))
    assert result.is_equivalent
    codes = Counter(one.code.value for one in analysis.findings)
    peak = peak_mb()
    return {
        "kind": kind, "lines": size, "read": round(read, 2), "compared": round(compared, 2),
        "cleaned": round(cleaned, 2), "findings": len(analysis.findings), "undecided": len(analysis.undecided),
        "peak": round(peak), "codes": dict(codes), "left": len({line.number for line in result.lines}),
    }  # fmt: skip


def timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.process_time()
    done = work()
    return time.process_time() - began, done


def peak_mb() -> float:
    """Of this process since it began; what ``getrusage`` says counts the parent's, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def written(size: int) -> str:
    """As a firewall looks after ten years: narrow lines, blocks within blocks, denials between, copies, a last one."""
    dice, rows = random.Random(SEED), []
    for _ in range(size - 1):
        source = _block(dice, 10) if dice.random() < 0.98 else "any"
        destination = _block(dice, 172) if dice.random() < 0.98 else "any"
        action = "deny" if dice.random() < 0.15 else "allow"
        row = f'{source},{destination},tcp,"{dice.choice(PORTS)}",{action},{dice.randrange(0, 5000, 7)}'
        rows.append(dice.choice(rows) if rows and dice.random() < 0.05 else row)
    return "\n".join([HEADING, *rows, "any,any,any,any,deny,1"]) + "\n"


def _block(dice: random.Random, first: int) -> str:
    prefix = dice.choice((*(32,) * 24, *(28,) * 6, *(24,) * 12, *(22,) * 3, 20, 16))
    number = first << 24 | dice.randrange(64) << 16 | dice.randrange(256) << 8 | dice.choice(HOSTS)
    number = number >> (32 - prefix) << (32 - prefix)
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0)) + f"/{prefix}"


def named(size: int) -> str:
    """Half of it by names, as people write a spreadsheet."""
    dice, rows = random.Random(SEED), []
    for _ in range(size - 1):
        source = f"team-{dice.randrange(300)}" if dice.random() < 0.5 else _block(dice, 10)
        destination = f"service-{dice.randrange(600)}" if dice.random() < 0.7 else _block(dice, 172)
        action = "deny" if dice.random() < 0.1 else "allow"
        rows.append(f'{source},{destination},tcp,"{dice.choice(PORTS)}",{action},{dice.randrange(0, 5000, 7)}')
    return "\n".join([HEADING, *rows, "any,any,any,any,deny,1"]) + "\n"


def beside_brute_force(size: int) -> dict[str, float]:
    """The same questions, which lines decide nothing and what a clean-up changes, by asking a world of packets."""
    dice, rows = random.Random(SEED), []
    for _ in range(size):
        low = dice.randrange(0, 32, 4)
        prefix = 28 if low % 16 == 0 and dice.random() < 0.5 else 30
        port = dice.choice(("1", "2", "1-3", "2-4"))
        rows.append(
            f"10.0.0.{low}/{prefix},10.9.0.{dice.randrange(0, 16, 4)}/30,tcp,{port},{dice.choice(('allow', 'deny'))},"
        )
    parsed = parse("\n".join([HEADING, *rows]), Format.TABLE)
    world = universe([f"10.0.0.{n}" for n in range(33)], [f"10.9.0.{n}" for n in range(17)], range(1, 6), ["tcp"])
    ours, analysis = timed(lambda: _ours(parsed.lines))
    brute, dead = timed(lambda: _every_packet(parsed.lines, world))
    assert dead <= {one.number for one in analysis.findings if one.code in HARMLESS}
    return {"lines": size, "packets": len(world), "ours": ours, "brute": brute, "ratio": brute / ours}


def _ours(lines: tuple[Line, ...]) -> Analysis:
    analysis = analyse(lines)
    assert clean(lines, [one for one in analysis.findings if one.code in HARMLESS]).is_equivalent
    return analysis


def _every_packet(lines: tuple[Line, ...], world: list[Probe]) -> set[int]:
    """Lines that decide nothing, and for each line whether leaving it out changes anything."""
    alive = {first.number for probe in world if (first := next((one for one in lines if matches(one, probe)), None))}
    before = [decide(lines, probe) for probe in world]
    for number in {line.number for line in lines}:
        rest = [line for line in lines if line.number != number]
        any(decide(rest, probe) is not was for probe, was in zip(world, before, strict=True))
    return {line.number for line in lines} - alive


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
