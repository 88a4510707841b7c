"""``python -m apps.localedge.accept``: rehearsals for the console, one JSON line in, one out, until stdin closes.

In: {"tier", "files": {name: base64} or null for the bundle of the line before, "items": [[namespace, group, key,
value]], "runs": [{"now": seconds, "requests": [...]}]}. Out: {"answers": [[[allowed, reason], ...], ...], "measure":
{...}}, or {"error": text} when the bundle cannot run or does not fit its tier.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Mapping
from typing import Any

import orjson

from apps.localedge.engine import EngineDied, EngineError
from apps.localedge.runner import EdgeRunner, Result
from apps.localedge.tiers import load_tiers, tier_named


class Rehearser:
    """Keeps one engine between lines; another tier or a dead engine gets a new one."""

    def __init__(self) -> None:
        self._runner: EdgeRunner | None = None
        self._tier = ""

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
        answers = [
            [_outcome(result) for result in runner.run_many(run["requests"], run["now"])] for run in question["runs"]
        ]
        measure = runner.measure()
        too_much = _over_limit(self._tier, measure["heap_bytes"])
        return {"error": too_much} if too_much else {"answers": answers, "measure": measure}

    def _ready(self, tier: str, encoded: Mapping[str, str] | None) -> EdgeRunner:
        files = {name: base64.b64decode(content) for name, content in (encoded or {}).items()}
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
        return [False, result["error"]["code"]]
    told = orjson.loads(result["variables"].get("PMUSER_SP_V", "{}"))
    return [result["action"] == "forward", told.get("r", "")]


def _over_limit(tier: str, heap: int) -> str:
    most = tier_named(load_tiers(), tier).engine_limits()["handler"]["memoryBytes"]
    return f"EW_MEMORY_LIMIT: the bundle needs {heap} bytes of memory; its tier has {most}." if heap > most else ""


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
