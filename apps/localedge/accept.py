"""``python -m apps.localedge.accept``: rehearsals for the console, one JSON line in, one out, until stdin closes.

In: {"tier", "files": {name: base64} or null for the bundle of the line before, "items": [[namespace, group, key,
value]], "runs": [{"now": seconds, "requests": [...]}]}. Out: {"answers": [[[allowed, reason, treated], ...], ...],
"measure": {...}, "heavy": {"group/key": text}}, or {"error": text} when the bundle cannot run or does not fit its tier.
``treated`` of what was let in is {"variant", "rules", "origin", "headers": those it goes on with}. ``heavy`` are the
items the code could not hold in the memory of the tier.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from apps.localedge.bundles import MAX_COMPRESSED, MAX_UNCOMPRESSED
from apps.localedge.engine import EngineDied, EngineError
from apps.localedge.runner import EdgeRunner, Measurement, Result
from apps.localedge.tiers import Tier, load_tiers, tier_named

WORTH_WEIGHING = 16 * 1024
ROOM, LONGER = 1.25, 1.125
"""Where an item left a fifth of the memory free, one of its key that is longer by an eighth is not weighed again."""


class Rehearser:
    """Keeps one engine between lines; another tier or a dead engine gets a new one."""

    def __init__(self) -> None:
        self._runner: EdgeRunner | None = None
        self._tier = ""
        self._fits: dict[tuple[str, str], float] = {}

    def answer(self, question: Mapping[str, Any]) -> dict[str, object]:
        try:
            return self._answer(question)
        except EngineError as error:
            return {"error": f"{error.code}: {error}"}
        except EngineDied as error:
            self.close()
            return {"error": str(error)}

    def close(self) -> None:
        if self._runner is not None:
            self._runner.__exit__(None, None, None)
            self._runner = None

    def _answer(self, question: Mapping[str, Any]) -> dict[str, object]:
        runner = self._ready(question["tier"], question["files"])
        runner.set_items({(namespace, group, key): value for namespace, group, key, value in question["items"]})
        heavy = too_heavy(runner, self._tier, question["items"], self._fits)
        answers = [
            [_outcome(result) for result in runner.run_many(run["requests"], run["now"])] for run in question["runs"]
        ]
        measure = runner.measure()
        too_much = over_limits(tier_named(load_tiers(), self._tier), measure)
        return {"error": too_much[0]} if too_much else {"answers": answers, "measure": measure, "heavy": heavy}

    def _ready(self, tier: str, encoded: Mapping[str, str] | None) -> EdgeRunner:
        files = {name: base64.b64decode(content) for name, content in (encoded or {}).items()}
        if files or tier != self._tier:
            self._fits = {}
        if self._runner is None or tier != self._tier:
            if not files:
                raise EngineError("EW_NO_BUNDLE", "there is no bundle to run")
            self.close()
            self._runner, self._tier = EdgeRunner(files, tier=tier).__enter__(), tier
        elif files:
            self._runner.activate(files)
        return self._runner


def _outcome(result: Result) -> list[object]:
    if result["action"] == "error":
        return [False, result["error"]["code"], {}]
    told = orjson.loads(result["variables"].get("PMUSER_SP_V", "{}"))
    if result["action"] != "forward":
        return [False, told.get("r", ""), {}]
    treated = {"variant": told.get("vr", ""), "rules": told.get("t", []), "origin": result.get("origin", "")}
    return [True, told.get("r", ""), {**treated, "headers": result["headers"]}]


def over_limits(tier: Tier, measure: Measurement) -> list[str]:
    """What of the bundle the tier has no room for, in words. Processor time is the engine's own to refuse."""
    limits = tier.engine_limits()
    rows = [
        ("MAX_COMPRESSED_SIZE_EXCEEDED", "packed", measure["compressed_bytes"], MAX_COMPRESSED),
        ("MAX_UNCOMPRESSED_SIZE_EXCEEDED", "unpacked", measure["uncompressed_bytes"], MAX_UNCOMPRESSED),
        ("EW_MEMORY_LIMIT", "of memory", measure["heap_bytes"], limits["handler"]["memoryBytes"]),
    ]
    return [
        f"{code}: the bundle has {found} bytes {what}; {tier.name} takes {most}."
        for code, what, found, most in rows
        if found > most
    ]


def too_heavy(
    runner: EdgeRunner, tier_name: str, items: Sequence[Sequence[str]], fits: dict[tuple[str, str], float]
) -> dict[str, str]:
    """From the largest down to the first that fits; what is small is not worth weighing.

    ``fits`` is how long an item may be, by its key, without being weighed; it is learnt here. Weighing starts the
    bundle twice, and a busy service would pay that for every grant.
    """
    tier = tier_named(load_tiers(), tier_name)
    most = tier.engine_limits()["handler"]["memoryBytes"]
    found: dict[str, str] = {}
    for _, group, key, value in sorted(items, key=lambda item: (-len(item[3]), item[2])):
        if len(value) < WORTH_WEIGHING or len(value) <= fits.get((group, key), 0):
            break
        weight = runner.weigh(value)
        if weight * ROOM <= most:
            fits[group, key] = len(value) * LONGER
        if weight <= most:
            break
        found[f"{group}/{key}"] = (
            f"EW_MEMORY_LIMIT: with the item of {key}, the code would hold {weight} bytes; {tier.name} takes {most}."
        )
    return found


def main() -> None:
    rehearser = Rehearser()
    try:
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(orjson.dumps(rehearser.answer(orjson.loads(line))) + b"\n")
            sys.stdout.buffer.flush()
    finally:
        rehearser.close()


if __name__ == "__main__":
    main()
