"""A cluster that is watched: what somebody changes by hand is looked at as it happens, just that object."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from apps.rollout.cluster.watch import LONGEST_PAUSE, MOST_LATER, Attention
from apps.rollout.models import Drift, Target, TargetArtifact
from apps.rollout.services import adopting, drifting
from apps.rollout.services.cluster import connecting as cluster_connecting
from apps.rollout.services.cluster import drift as cluster_drift
from apps.rollout.services.cluster import watching as cluster_watching
from apps.rollout.services.cluster.connecting import AGENT, Way
from apps.rollout.states import UNKNOWN
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import LocalCluster
from tests.rollout.cluster.world import OLGA, POLICIES, POLICY, agreed, by_token, cluster_spec, policy
from tests.rollout.world import Hands, make_target, standing_grant

pytestmark = pytest.mark.django_db
OURS = f"{POLICIES}/sp-payments"
BY_HAND = "The object was changed; hand set fields of it."
WIDE_OPEN = {"spec": {"ingress": [{"from": [{"podSelector": {}}]}]}}
LISTS = {"method": "GET", "path": POLICIES, "status": 503, "times": 1000}
READS = {"method": "GET", "path": f"{POLICIES}/.*", "status": 503, "times": 1000}


class Watcher:
    """An ``Attention`` whose pauses pass when they are told to."""

    def __init__(self, slug: str = "cluster", most_later: int = MOST_LATER) -> None:
        self.ear, scopes = cluster_watching.ear_for(slug)
        self.seconds = 0.0
        self.attention = Attention(slug, self.ear, scopes, self.clock, lambda: self.seconds, most_later=most_later)

    def clock(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def turn(self, *, after: float = 0.0, wait: float = 0.05) -> None:
        self.seconds += after
        self.attention.turn(wait)

    def hear(self) -> None:
        """One turn in which there is something to hear."""
        self.turn(wait=10)


@pytest.fixture
def watcher(target: Target, hands: Hands) -> Iterator[Watcher]:
    agreed(hands)
    watcher = Watcher()
    watcher.turn(wait=0.2)
    yield watcher
    watcher.ear.close()


def open_drift() -> list[tuple[str, str]]:
    return list(Drift.objects.filter(resolved_at=None).order_by("path").values_list("path", "detail"))


def test_a_change_by_hand_is_drift_at_once_and_costs_no_list(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.faults(LISTS)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    drift = Drift.objects.get()
    assert (drift.path, drift.opens, drift.detail, drift.found_at) == (
        POLICY,
        True,
        BY_HAND,
        AT,
    )
    assert '-    "ingress": [],' in drift.diff
    assert Target.objects.get().error == ""


def test_what_is_put_right_by_hand_is_right_at_once(watcher: Watcher, cluster: LocalCluster) -> None:
    before = policy(cluster)
    assert before is not None
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    cluster.faults(LISTS)
    cluster.merge(OURS, {"spec": {"ingress": None}}, manager="sallyport")
    watcher.hear()
    drift = Drift.objects.get()
    assert (drift.resolved_at, drift.resolution) == (AT, "It is right again.")


def test_an_object_that_is_gone_is_seen(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.call("DELETE", OURS)
    watcher.hear()
    assert open_drift() == [(POLICY, "The object is gone.")]


def test_taking_our_labels_off_hides_nothing(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.merge(OURS, {"metadata": {"labels": None}, **WIDE_OPEN})
    watcher.hear()
    assert open_drift() == [(POLICY, BY_HAND)]


def test_what_bears_our_labels_and_is_not_ours_is_seen_and_gone_again(watcher: Watcher, cluster: LocalCluster) -> None:
    labels = {"app.kubernetes.io/managed-by": "sallyport", "sallyport.dev/cluster": "cluster"}
    meta = {"name": "sp-open", "namespace": "shop", "labels": labels}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": {"ingress": [{}]}}
    assert cluster.apply(f"{POLICIES}/sp-open", body, "hand").status_code == 201
    watcher.hear()
    ((path, said),) = open_drift()
    assert (path.rpartition("/")[2], said) == ("sp-open.json", "It bears our labels, and nobody here made it.")
    cluster.call("DELETE", f"{POLICIES}/sp-open")
    watcher.hear()
    assert open_drift() == []


def test_what_we_brought_ourselves_is_not_even_read(
    watcher: Watcher, cluster: LocalCluster, shop: factory.Shop, hands: Hands
) -> None:
    standing_grant(shop.cart, shop.cyd, at=AT)
    hands.work()
    cluster.faults(LISTS, READS)
    watcher.hear()
    watcher.turn(after=60)
    assert (Target.objects.get().error, open_drift()) == ("", [])


def test_what_controllers_write_is_not_even_read(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.faults(LISTS, READS)
    cluster.merge(OURS, {"metadata": {"annotations": {"example.com/seen": "yes"}}})
    watcher.hear()
    assert (Target.objects.get().error, open_drift()) == ("", [])


def test_while_something_is_applied_it_is_looked_at_afterwards(watcher: Watcher, cluster: LocalCluster) -> None:
    rows = TargetArtifact.objects.filter(path=POLICY)
    rows.update(applied_sha256=UNKNOWN)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    watcher.turn(after=2)
    assert open_drift() == []
    rows.update(applied_sha256=rows.get().sha256)
    watcher.turn(after=LONGEST_PAUSE)
    assert open_drift() == [(POLICY, BY_HAND)]


def test_an_object_that_cannot_be_read_now_is_read_later(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.faults(READS)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    assert (Target.objects.get().trouble, open_drift()) == ("unavailable", [])
    cluster.faults()
    watcher.turn(after=2)
    assert (Target.objects.get().trouble, open_drift()) == (
        "",
        [(POLICY, BY_HAND)],
    )


def test_what_was_left_alone_stays_left_alone(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.merge(OURS, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "hand"}}})
    watcher.hear()
    adopting.adopt(drift_id=Drift.objects.get().pk, actor=OLGA, at=AT)
    cluster.merge(OURS, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "sallyport"}}})
    watcher.hear()
    cluster.merge(OURS, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "hand"}}})
    watcher.hear()
    assert open_drift() == []


# -- what a stream may miss ------------------------------------------------------------------------------------------
def test_what_happened_before_the_watch_began_is_found_by_its_first_list(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    cluster.merge(OURS, WIDE_OPEN)
    watcher = Watcher()
    watcher.turn()
    watcher.ear.close()
    assert open_drift() == [(POLICY, BY_HAND)]


def test_a_moment_that_is_forgotten_is_listed_again_and_the_watch_goes_on(
    watcher: Watcher, cluster: LocalCluster
) -> None:
    cluster.merge(OURS, WIDE_OPEN)
    cluster.forget()
    watcher.hear()
    watcher.turn(after=1, wait=0.2)
    assert open_drift() == [(POLICY, BY_HAND)]
    cluster.call("DELETE", OURS)
    watcher.hear()
    assert open_drift() == [(POLICY, "The object is gone.")]


def test_only_the_kinds_that_were_lost_are_listed_again(
    shop: factory.Shop, cluster: LocalCluster, hands: Hands
) -> None:
    make_target(cluster_spec(cluster, "networkpolicy", "smi"), AT)
    agreed(hands)
    watcher = Watcher()
    cluster.faults({"path": POLICIES, "status": 403, "skip": 1, "times": 1})
    watcher.turn(wait=5)
    cluster.faults({"path": "/apis/.*smi.*", "status": 503, "times": 1000})
    cluster.merge(OURS, WIDE_OPEN)
    watcher.turn(after=1)
    watcher.ear.close()
    assert open_drift() == [(POLICY, BY_HAND)]
    assert Target.objects.get().error == ""


def test_a_cluster_that_is_out_is_asked_less_and_less_often_and_then_as_before(
    watcher: Watcher, cluster: LocalCluster
) -> None:
    cluster.faults(LISTS)
    cluster.forget()
    watcher.hear()
    asked = []
    for _ in range(100):
        watcher.turn(after=1, wait=0)
        asked.append(Target.objects.get().error_at)
    seconds = [int((at - AT).total_seconds()) for at in dict.fromkeys(asked) if at]
    assert seconds == [1, 2, 4, 8, 16, 32, 62, 92]
    assert Target.objects.get().trouble == "unavailable"
    cluster.faults()
    watcher.turn(after=LONGEST_PAUSE, wait=0.2)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    assert open_drift() == [(POLICY, BY_HAND)]
    assert Target.objects.get().trouble == ""


def test_too_much_to_look_at_later_is_listed_instead(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    watcher = Watcher(most_later=0)
    watcher.turn(wait=0.2)
    cluster.faults({**READS, "times": 1})
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    assert open_drift() == []
    watcher.turn(after=1)
    watcher.ear.close()
    assert open_drift() == [(POLICY, BY_HAND)]


# -- several, and none -----------------------------------------------------------------------------------------------
def test_two_that_watch_note_it_once(watcher: Watcher, cluster: LocalCluster) -> None:
    other = Watcher()
    other.turn(wait=0.2)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    other.hear()
    other.ear.close()
    assert Drift.objects.count() == 1


def test_a_cluster_that_is_watched_is_listed_now_and_then_only(
    watcher: Watcher, cluster: LocalCluster, hands: Hands
) -> None:
    target = Target.objects.get()
    assert (target.watched_at, target.listed_at, target.is_watched(AT)) == (AT, AT, True)
    cluster.faults(LISTS)
    drifting.observe_all(at=AT + timedelta(seconds=50))
    assert Target.objects.get().error == ""
    Target.objects.update(watched_at=AT + timedelta(minutes=10))
    drifting.observe_all(at=AT + timedelta(minutes=10))
    assert Target.objects.get().trouble == "unavailable"


def test_a_cluster_that_nobody_watches_any_more_is_listed_every_minute(watcher: Watcher, cluster: LocalCluster) -> None:
    cluster.faults(LISTS)
    drifting.observe_all(at=AT + timedelta(seconds=61))
    assert Target.objects.get().trouble == "unavailable"


def test_a_cluster_of_which_something_is_not_heard_does_not_count_as_watched(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    cluster.faults({"path": POLICIES, "status": 403, "skip": 1, "times": 1000})
    watcher = Watcher()
    watcher.turn(wait=5)
    Target.objects.update(watched_at=None)
    watcher.turn(after=60)
    watcher.ear.close()
    assert Target.objects.get().watched_at is None


def test_only_clusters_that_the_console_reaches_are_watched(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    assert cluster_watching.watched() == {}, "nobody spoke to it yet"
    agreed(hands)
    (before,) = cluster_watching.watched().values()
    way = by_token(cluster)
    cluster_connecting.connect(slug="cluster", way=way, actor=OLGA, at=AT)
    assert cluster_watching.watched() == {}, "the other credential was not tried by a worker yet"
    hands.work()
    (after,) = cluster_watching.watched().values()
    assert before != after, "it is to be watched anew"
    cluster_connecting.connect(slug="cluster", way=Way(AGENT), actor=OLGA, at=AT)
    assert cluster_watching.watched() == {}


def test_a_look_that_began_earlier_does_not_undo_what_a_later_one_noted(
    watcher: Watcher, cluster: LocalCluster
) -> None:
    target = Target.objects.get()
    earlier = AT - timedelta(seconds=5)
    fine = cluster_drift.compare(target)
    cluster.merge(OURS, WIDE_OPEN)
    watcher.hear()
    drifting.note(target, fine.looked_at, fine.found, earlier, whole=True)
    assert open_drift() == [(POLICY, BY_HAND)]
    changed = cluster_drift.compare(target)
    cluster.merge(OURS, {"spec": {"ingress": None}}, manager="sallyport")
    watcher.hear()
    drifting.note(target, changed.looked_at, changed.found, earlier, whole=True)
    assert open_drift() == []


def test_what_should_be_otherwise_by_now_is_no_drift(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    cluster.merge(OURS, WIDE_OPEN)
    changed = cluster_drift.compare(Target.objects.get())
    TargetArtifact.objects.filter(path=POLICY).update(sha256="0" * 64, applied_sha256="0" * 64)
    drifting.note(target, changed.looked_at, changed.found, AT, whole=True)
    assert open_drift() == []
