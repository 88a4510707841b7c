"""One policy, no disagreement: decide(), the bundle in V8 and real NGINX say the same of the same generated cases.

Verdict, reason and grants, for each as far as it can know them: the reference is asked as the door that it stands for.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.agreement import edge, nginx
from tests.agreement.strategies import Situation, situations
from tests.meshclient import EchoApplication

CASES = int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "1200"))
CASES_PER_SITUATION = 150
"""Rather less than a situation has on average."""

ENOUGH_FOR_ALL_REASONS = 20_000


def test_the_reference_v8_and_nginx_answer_alike(tmp_path: Path) -> None:
    at_edge: Counter[str] = Counter()
    in_mesh: Counter[str] = Counter()
    estate = nginx.Estate(tmp_path)

    with edge.empty_edge() as runner, EchoApplication([estate.upstream_port]):

        @settings(
            max_examples=max(1, CASES // CASES_PER_SITUATION),
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )
        @given(situations(faulty=8))
        def all_agree(situation: Situation) -> None:
            difference = edge.disagreement(runner, situation, at_edge) or estate.disagreement(situation, in_mesh)
            assert difference is None, difference

        all_agree()

    assert at_edge.total() == in_mesh.total() >= CASES, f"only {at_edge.total()} cases were generated"
    if CASES >= ENOUGH_FOR_ALL_REASONS:
        assert at_edge.keys() >= edge.REACHABLE, f"no case reached {sorted(edge.REACHABLE - at_edge.keys())}"
        assert in_mesh.keys() >= nginx.REACHABLE, f"no case reached {sorted(nginx.REACHABLE - in_mesh.keys())}"
