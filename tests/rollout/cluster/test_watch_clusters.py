"""``watch_clusters`` as it runs: in real time, killed, stopped, and with a cluster that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.rollout.cluster.watch import Watches
from apps.rollout.models import Drift, Target
from apps.rollout.services.cluster import connecting as cluster_connecting
from apps.rollout.services.cluster.connecting import AGENT, Way
from tests.factories import access as factory
from tests.localcluster.choosing import cluster_in
from tests.localcluster.cluster import LocalCluster, eventually
from tests.rollout.cluster.test_watching import OURS, WIDE_OPEN
from tests.rollout.cluster.world import DEFINITIONS, OLGA, POLICY, agreed, cluster_spec
from tests.rollout.world import Hands, make_target, now

REPOSITORY = Path(__file__).resolve().parents[3]
OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def target(cluster: LocalCluster, hands: Hands) -> Target:
    factory.shop()
    made = make_target(cluster_spec(cluster))
    agreed(hands)
    return made


def is_watched() -> bool:
    return Target.objects.filter(slug="cluster", watched_at__isnull=False).exists()


def found(detail: str = "The object was changed; hand set fields of it.") -> bool:
    return Drift.objects.filter(path=POLICY, resolved_at=None, detail=detail).exists()


@pytest.fixture
def watches() -> Iterator[Watches]:
    watches = Watches(now)
    yield watches
    watches.stop(10)


def test_what_somebody_changes_is_drift_within_a_second(
    target: Target, cluster: LocalCluster, watches: Watches
) -> None:
    watches.tend()
    eventually(is_watched)
    began = time.monotonic()
    cluster.merge(OURS, WIDE_OPEN)
    eventually(found)
    assert time.monotonic() - began < 3, "a second or so, on a busy machine too"


def test_a_cluster_is_watched_from_when_it_is_reached_until_it_is_not(
    cluster: LocalCluster, watches: Watches, hands: Hands
) -> None:
    factory.shop()
    watches.tend()
    assert watches.slugs == []
    make_target(cluster_spec(cluster))
    agreed(hands)
    watches.tend()
    assert watches.slugs == ["cluster"]
    eventually(is_watched)
    cluster_connecting.connect(slug="cluster", way=Way(AGENT), actor=OLGA, at=now())
    watches.tend()
    assert watches.slugs == []


# -- processes -------------------------------------------------------------------------------------------------------
class Watching:
    def __init__(self, environment: dict[str, str]) -> None:
        argv = [sys.executable, "manage.py", "watch_clusters"]
        self.process = subprocess.Popen(argv, env=environment, cwd=REPOSITORY)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture
def start(console_environment: dict[str, str]) -> Iterator[Callable[[], Watching]]:
    """Starts a process, and returns when it says that it hears of everything."""
    begun: list[Watching] = []

    def start() -> Watching:
        Target.objects.update(watched_at=None)
        begun.append(Watching(console_environment))
        eventually(is_watched, patience=60)
        return begun[-1]

    yield start
    for one in begun:
        one.end(signal.SIGKILL)


@pytest.mark.kill
@pytest.mark.slow
def test_killed_in_the_middle_it_misses_nothing_and_told_to_stop_it_stops(
    target: Target, cluster: LocalCluster, start: Callable[[], Watching]
) -> None:
    first, second = start(), start()
    cluster.merge(OURS, WIDE_OPEN)
    first.end(signal.SIGKILL)
    eventually(found, patience=60)
    second.end(signal.SIGKILL)
    cluster.call("DELETE", OURS)
    third = start()
    assert found("The object is gone.")
    assert third.end(signal.SIGTERM) == 0
    assert Drift.objects.count() == 1


@pytest.mark.kill
@pytest.mark.slow
def test_a_cluster_that_is_killed_during_the_watch_is_watched_again_and_nothing_is_missed(
    tmp_path: Path, start: Callable[[], Watching], hands: Hands
) -> None:
    cluster = cluster_in(tmp_path)
    cluster.start()
    cluster.load(DEFINITIONS)
    factory.shop()
    make_target(cluster_spec(cluster, "networkpolicy", "smi"))
    agreed(hands)
    watching = start()
    for number in range(3):
        cluster.kill()
        time.sleep(number)
        cluster.start()
        cluster.merge(OURS, {"spec": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"n": str(number)}}}]}]}})
        eventually(lambda number=number: Drift.objects.filter(diff__contains=f'"n": "{number}"').exists(), patience=60)
    cluster.call("DELETE", OURS)
    eventually(lambda: found("The object is gone."))
    assert watching.end(signal.SIGTERM) == 0
    cluster.stop()
    assert Target.objects.get().error == ""


@pytest.mark.kill
@pytest.mark.slow
def test_the_database_may_drop_its_connections(
    target: Target, cluster: LocalCluster, start: Callable[[], Watching]
) -> None:
    watching = start()
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
    Target.objects.update(watched_at=None)
    cluster.merge(OURS, WIDE_OPEN)
    eventually(found, patience=60)
    eventually(is_watched, patience=60)
    assert watching.end(signal.SIGTERM) == 0
