"""NGINX nodes: the revision is published, each node fetches it, and it is in force when every live node says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from apps.compiler.artifacts import Artifact
from apps.rollout.drivers.base import Desired, NodeView, Observed, Plan, Step


class NginxDriver:
    """``nodes`` are as last heard of; ``publish`` tells the waiting ones to look again."""

    def __init__(self, nodes: Sequence[NodeView], publish: Callable[[], object]) -> None:
        self._nodes, self._publish = tuple(nodes), publish

    def setup(self) -> Mapping[str, object]:
        return {}

    def observe(self, expected: Sequence[Artifact]) -> Observed:
        return Observed(nodes=self._nodes)

    def plan(self, desired: Desired, observed: Observed) -> Plan:
        lagging = tuple(node.name for node in observed.nodes if node.live and node.number < desired.number)
        return Plan(desired.number, desired.digest, observed.fingerprint, lagging=lagging)

    def apply(self, plan: Plan) -> Step:
        """Done when no live node lags; a mesh without any live node is never done."""
        live = [node for node in self._nodes if node.live]
        failed = [node for node in live if node.error and node.name in plan.lagging]
        if not live:
            return Step(done=False, waiting="No node is online.", error="No node is online.")
        if not plan.lagging:
            return Step(done=True, events=tuple(self._absent()))
        self._publish()
        waiting = f"Waiting for {', '.join(plan.lagging)}."
        error = "; ".join(f"{node.name}: {node.error}" for node in failed)
        return Step(done=False, waiting=waiting, error=error, trouble=failed[0].trouble if failed else "")

    def _absent(self) -> list[str]:
        return [f"{node.name} is offline and was not waited for." for node in self._nodes if not node.live]
