"""A target whose vendor is never called: a team brings the export there, and what the edge holds is seen by asking it.

In answer to a probe the edge says which code it runs and which item it read, by their marks. What it does not say, it
does not hold: that a change was approved or merged somewhere is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.compiler.artifacts import Artifact
from apps.compiler.emitters.edgekv import mark_in
from apps.compiler.emitters.edgeworker import policy_in
from apps.rollout.drivers.akamai.edge_calls import EdgeCaller
from apps.rollout.drivers.base import Desired, Expectation, Observed, Plan, Proof, Step, VendorError

WITNESS = "person:sallyport-witness"
"""Nobody: it holds no grant, so its calls are refused by whatever policy is in force."""

PATH = "/sallyport-witness"
AT_ONCE, FOR_CODE, NAMED = 40, 3, 3
"""Services asked in one step; services asked when only the code matters; services named in a sentence."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The marks the edge told; empty for what it does not have, or has without a mark."""

    code: str
    item: str


class ExportedDriver:
    """``code`` is the bundle the edge should run: it knows where each service answers."""

    def __init__(self, caller: EdgeCaller, code: Iterable[Artifact], token: str) -> None:
        policy = policy_in(code)
        self._caller, self._token = caller, token
        self.code_mark = str(policy.get("mark", ""))
        self._places = {
            key: (host, base) for host, exposed in policy.get("hosts", []) for base, _service, key in exposed
        }

    def setup(self) -> Mapping[str, object]:
        return {}

    def observe(self, expected: Sequence[Artifact]) -> Observed:
        """Of what can be asked about: the hash where the edge shows the item, else nothing. Raises VendorError."""
        asked = [item for item in expected if _key(item.path) in self._places]
        seen = self._ask([_key(item.path) for item in asked] or list(self._places)[:FOR_CODE])
        if not seen:
            raise VendorError("The edge", 0, "did not answer", kind="unreachable")
        held = {item.path: item.sha256 if _shows(seen, item) else "" for item in asked if _key(item.path) in seen}
        return Observed(artifacts=held, code_version=next(iter(seen.values())).code)

    def plan(self, desired: Desired, observed: Observed) -> Plan:
        return Plan(
            number=desired.number,
            digest=desired.digest,
            observed=observed.fingerprint,
            puts=desired.puts,
            deletes=desired.deletes,
            code=desired.code,
        )

    def apply(self, plan: Plan) -> Step:
        """Nothing is brought anywhere: look what is there by now. What is gone is believed when all else is there."""
        seen = self._ask([_key(item.path) for item in plan.puts][:AT_ONCE] or list(self._places)[:FOR_CODE])
        shown = [item for item in plan.puts if _shows(seen, item)]
        runs = bool(self.code_mark) and self.code_mark in {one.code for one in seen.values()}
        applied = {item.path: item.sha256 for item in shown}
        missing = [_key(item.path) for item in plan.puts if item.path not in applied]
        if plan.code and runs:
            applied |= {one.path: one.sha256 for one in plan.code}
        elif plan.code:
            missing.insert(0, "the code")
        if not missing:
            applied |= dict.fromkeys(plan.deletes, "")
        return Step(
            done=not missing,
            applied=applied,
            events=tuple(f"The edge shows {item.path} as it was exported." for item in shown),
            waiting=_waiting(plan, missing, answered=bool(seen)) if missing else "",
        )

    def _ask(self, keys: Sequence[str]) -> dict[str, Seen]:
        """By key, of those that answered."""
        expectations = [self._expectation(key) for key in keys if key in self._places]
        proofs = self._caller.probe(expectations) if expectations else ()
        return {proof.id: _seen(proof) for proof in proofs if "edge" in proof.doors}

    def _expectation(self, key: str) -> Expectation:
        host, base = self._places[key]
        return Expectation(key, host, "GET", base + PATH, self._token)


def _key(path: str) -> str:
    return path.partition("/")[2]


def _seen(proof: Proof) -> Seen:
    code, _, item = proof.holds.partition(";")
    return Seen(code, item)


def _shows(seen: Mapping[str, Seen], item: Artifact) -> bool:
    found = seen.get(_key(item.path))
    return found is not None and found.item != "" and found.item == mark_in(item.content)


def _waiting(plan: Plan, missing: Sequence[str], *, answered: bool) -> str:
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    why = "The edge does not show yet" if answered else "The edge did not answer as ours; it should show"
    return f"Revision {plan.number} is exported and waits to be applied. {why}: {', '.join(missing[:NAMED])}{more}."
