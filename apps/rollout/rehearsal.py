"""Running freshly compiled edge policy in its own engine, against its own decision table, before anybody relies on it.

The engine is a child process that belongs to the local edge; we speak JSON lines with it and keep it for the next time.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings

from apps.compiler.acceptance import SENT, UNTOUCHED, Outcome, Treated, Trial, decision_table, rehearse
from apps.compiler.artifacts import Artifact, Bundle
from apps.compiler.emitters.edgekv import GROUP, item_key
from apps.compiler.graph import AccessGraph
from apps.compiler.traffic import HEADERS

COMMAND = (sys.executable, "-m", "apps.localedge.accept")
MOST_TRIALS, MOST_PER_SERVICE, FEWEST_PER_SERVICE = 2000, 40, 20

TokensFor = Callable[[Collection[str], int, int], Mapping[str, str]]
"""Makes an edge token for each of some subjects, good between two moments."""

Tokens = Mapping[tuple[str, int], str]
"""By subject and by when it was made out."""


class EngineFailed(RuntimeError):
    """The engine could not run the bundle at all; the message is its own."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """``refused`` says by service why its policy must not be activated; the empty name stands for the code itself."""

    trials: int
    refused: Mapping[str, str]


class _Child:
    """One engine process per process of ours, started when first needed. One rehearsal at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._loaded = ""

    def ask(self, code: Sequence[Artifact], tier: str, rest: Mapping[str, object]) -> dict[str, Any]:
        """Raises EngineFailed when the engine refuses, or dies: then it is started afresh next time."""
        with self._lock:
            digest = f"{tier} {Bundle.of(code).digest}"
            files = None if self._is_running() and self._loaded == digest else _encoded(code)
            try:
                answer = self._exchange({"tier": tier, "files": files, **rest})
            except (OSError, ValueError) as error:
                self._stop()
                raise EngineFailed(f"The engine for rehearsals ended: {error}") from error
            if "error" in answer:
                self._loaded = ""
                raise EngineFailed(answer["error"])
            self._loaded = digest
            return answer

    def _is_running(self) -> bool:
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def _exchange(self, question: Mapping[str, object]) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        stdin.write(json.dumps(question).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise ValueError("it closed its output")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if not self._is_running():
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.BASE_DIR, env={}
            )
            self._owner = os.getpid()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ValueError("it has no pipes")
        return process.stdin, process.stdout

    def _stop(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = None


_CHILD = _Child()


class _Engine:
    """The acceptance run's view of the child: trials in, outcomes out."""

    def __init__(
        self, code: Sequence[Artifact], items: Sequence[Artifact], namespace: str, tier: str, tokens_for: TokensFor
    ) -> None:
        self._code, self._tier, self._tokens_for = code, tier, tokens_for
        self._items = [[namespace, *item.path.split("/", 1), item.content.decode()] for item in items]
        self.heavy: Mapping[str, str] = {}

    def run(self, trials: Sequence[Trial]) -> list[Outcome]:
        places: dict[int, list[int]] = defaultdict(list)
        for place, trial in enumerate(trials):
            places[trial.at].append(place)
        tokens = self._tokens(trials)
        runs = [
            {"now": at, "requests": [_request(trials[place], tokens) for place in at_once]}
            for at, at_once in places.items()
        ]
        answer = _CHILD.ask(self._code, self._tier, {"items": self._items, "runs": runs})
        self.heavy = answer.get("heavy", {})
        outcomes = [Outcome(False, "")] * len(trials)
        for at_once, answers in zip(places.values(), answer["answers"], strict=True):
            for place, (allowed, reason, treated) in zip(at_once, answers, strict=True):
                outcomes[place] = Outcome(allowed, reason, _treated(treated) if allowed else UNTOUCHED)
        return outcomes

    def _tokens(self, trials: Sequence[Trial]) -> Tokens:
        last = max((trial.at for trial in trials), default=0)
        subjects: dict[int, set[str]] = defaultdict(set)
        for trial in trials:
            if trial.subject is not None:
                subjects[trial.issued].add(trial.subject)
        made = {issued: self._tokens_for(whose, issued, last) for issued, whose in subjects.items()}
        return {(subject, issued): token for issued, found in made.items() for subject, token in found.items()}


def rehearse_edge(
    *,
    graph: AccessGraph,
    code: Sequence[Artifact],
    items: Sequence[Artifact],
    namespace: str,
    tier: str,
    tokens_for: TokensFor,
    at: int,
    first: Collection[str] = frozenset(),
) -> Rehearsal:
    """Run the items on the code. A service that disagrees is refused; so is code that cannot run at all.

    Each service gets so many trials and no more, so that a grant costs the same however many there are; those that
    changed, ``first``, are among them.
    """
    most = min(MOST_PER_SERVICE, max(FEWEST_PER_SERVICE, MOST_TRIALS // max(len(graph.services), 1)))
    table = decision_table(graph, at, most_per_service=most, first=first)
    engine = _Engine(code, items, namespace, tier, tokens_for)
    try:
        disagreements = rehearse(engine, table)
    except EngineFailed as error:
        return Rehearsal(len(table), {"": str(error)})
    paths = {f"{GROUP}/{item_key(service)}": service for service in graph.services}
    refused = {paths[path]: words for path, words in engine.heavy.items() if path in paths}
    for one in disagreements:
        refused.setdefault(_service_of(graph, one.trial), one.sentence)
    return Rehearsal(len(table), refused)


def _service_of(graph: AccessGraph, trial: Trial) -> str:
    """Whose row it was: the services of a graph differ in address."""
    for service in graph.services.values():
        edge = service.edge
        if edge and edge.host == trial.call.host and trial.call.path.startswith(edge.base_path):
            return service.id
    return ""


def _treated(told: Mapping[str, Any]) -> Treated:
    """Of the headers those that are not as they were sent."""
    found = {name: ", ".join(told["headers"].get(name.lower(), ())) or None for name in sorted(HEADERS)}
    changed = tuple((name, value) for name, value in found.items() if value != SENT)
    return Treated(told["variant"], told["origin"], changed, tuple(told["rules"]))


def _request(trial: Trial, tokens: Tokens) -> dict[str, object]:
    headers = {name: [SENT] for name in HEADERS}
    if trial.subject is not None:
        headers["authorization"] = [f"Bearer {tokens[trial.subject, trial.issued]}"]
    return {"method": trial.call.method, "host": trial.call.host, "path": trial.call.path, "headers": headers}


def _encoded(code: Sequence[Artifact]) -> dict[str, str]:
    return {artifact.path: base64.b64encode(artifact.content).decode() for artifact in code}
