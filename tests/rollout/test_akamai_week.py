"""A small week of an Akamai account; the whole one is ``python -m tests.bench akamai-week``."""

from __future__ import annotations

import json

import pytest

from tests.localedge.standin import StandIn
from tests.rollout.week import Week

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def test_a_small_week_loses_nothing_exceeds_nothing_and_explains_everything(standin: StandIn) -> None:
    standin.stop()
    config = standin.directory / "config.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "activations_per_minute": 20, "versions_per_minute": 20})
    )
    standin.start()
    tally = Week(standin, changes=12, versions=2, whole=False).run()
    assert tally.lost == []
    assert tally.refused == 0, "the account's own limits were never met"
    assert tally.unexplained == []
    assert (tally.changes >= 12, tally.drifts, tally.failed_activations >= 1) == (True, 2, True)
    assert (tally.taken_back, tally.tokens_renewed) == (1, 1)
    assert {"EKV_9100", "EW3101", "credential_expired", "credential_refused", "ACCESS_TOKEN_EXPIRED", "cut"} <= set(
        tally.words
    )
