"""The verifier that an ingress asks decides as decide() does, with real NGINX and real tokens."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.agreement.strategies import Situation, situations
from tests.agreement.verifier import disagreement
from tests.ports import free_block

CASES = int(os.environ.get("SALLYPORT_AGREEMENT_CASES", "1200")) // 3
CASES_PER_SITUATION = 100
"""At most so many of each, spread over it: a start of NGINX costs as much, and no two situations are alike."""

ENOUGH_FOR_GRANTS = 2000


def test_the_verifier_and_the_reference_answer_alike(tmp_path: Path) -> None:
    port, seen = free_block(2), Counter[str]()

    @settings(
        max_examples=max(3, CASES // CASES_PER_SITUATION),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(situations(faulty=8))
    def all_agree(situation: Situation) -> None:
        step = 1 + len(situation.cases) // CASES_PER_SITUATION
        part = replace(situation, cases=situation.cases[::step])
        difference = disagreement(tmp_path / str(seen.total()), port, part, seen)
        assert difference is None, difference

    all_agree()
    assert seen.total() >= CASES // 4, f"only {seen.total()} cases were generated"
    assert CASES < ENOUGH_FOR_GRANTS or "granted" in seen
