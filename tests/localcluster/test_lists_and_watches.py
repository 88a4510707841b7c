"""Lists by label and page, and what a watch says of what happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.localcluster.manifests import CONFIG_MAPS, POLICIES, TARGETS, config_map, network_policy, target

Event = tuple[str, str]


def filled(cluster: LocalCluster, namespace: str, count: int) -> str:
    cluster.load([config_map(namespace, f"m{n}", labels={"app": "odd" if n % 2 else "even"}) for n in range(count)])
    return CONFIG_MAPS.format(namespace)


def names(listing: dict[str, Any]) -> list[str]:
    return [one["metadata"]["name"] for one in listing["items"]]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("app=odd", ["m1", "m3"]),
        ("app!=odd", ["m0", "m2"]),
        ("app in (odd, other)", ["m1", "m3"]),
        ("app notin (odd)", ["m0", "m2"]),
        ("app,app=even", ["m0", "m2"]),
        ("!app", []),
    ],
)
def test_labels_choose(cluster: LocalCluster, namespace: str, selector: str, found: list[str]) -> None:
    path = filled(cluster, namespace, 4)
    assert names(cluster.call("GET", path, params={"labelSelector": selector}).json()) == found


def test_pages_follow_one_another(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 5)
    first = cluster.call("GET", path, params={"limit": "2"}).json()
    second = cluster.call("GET", path, params={"limit": "2", "continue": first["metadata"]["continue"]}).json()
    third = cluster.call("GET", path, params={"limit": "2", "continue": second["metadata"]["continue"]}).json()
    assert [names(first), names(second), names(third)] == [["m0", "m1"], ["m2", "m3"], ["m4"]]
    assert "continue" not in third["metadata"]
    assert first["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]


def test_a_page_that_comes_too_late_is_gone(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 3)
    token = cluster.call("GET", path, params={"limit": "2"}).json()["metadata"]["continue"]
    cluster.forget_pages()
    refused = cluster.call("GET", path, params={"limit": "2", "continue": token})
    assert (refused.status_code, refused.json()["reason"]) == (410, "Expired")


def test_only_custom_kinds_are_named_in_lists(cluster: LocalCluster, namespace: str) -> None:
    cluster.apply(f"{POLICIES.format(namespace)}/a", network_policy(namespace, "a"))
    cluster.apply(f"{TARGETS.format(namespace)}/a", target(namespace, "a"))
    built_in = cluster.call("GET", POLICIES.format(namespace)).json()["items"][0]
    custom = cluster.call("GET", TARGETS.format(namespace)).json()["items"][0]
    assert ("kind" in built_in, custom["kind"]) == (False, "TrafficTarget")


def watched(cluster: LocalCluster, path: str, seconds: int = 1, **params: str) -> Iterator[dict[str, Any]]:
    """It is open when this returns."""
    given = {"watch": "true", "timeoutSeconds": str(seconds), **params}
    headers = {"Authorization": f"Bearer {ADMIN}"}
    answer = cluster.http.get(cluster.url + path, params=given, headers=headers, stream=True, timeout=20)
    assert answer.status_code == 200
    return (json.loads(line) for line in answer.iter_lines(chunk_size=1))


def of(events: Iterator[dict[str, Any]], count: int) -> list[Event]:
    """So many changes."""
    changes = (one for one in events if one["type"] != "BOOKMARK")
    return [(one["type"], one["object"]["metadata"]["name"]) for one in islice(changes, count)]


def test_a_watch_goes_on_after_a_list(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 1)
    since = cluster.call("GET", path).json()["metadata"]["resourceVersion"]
    cluster.apply(f"{path}/m1", config_map(namespace, "m1"))
    cluster.merge(f"{path}/m1", {"data": {"x": "y"}})
    cluster.call("DELETE", f"{path}/m1")
    seen = of(watched(cluster, path, resourceVersion=since), 3)
    assert seen == [("ADDED", "m1"), ("MODIFIED", "m1"), ("DELETED", "m1")]


def test_a_watch_from_nowhere_begins_with_all_there_is(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 2)
    events = watched(cluster, path)
    assert {next(events)["object"]["metadata"]["name"] for _ in range(2)} == {"m0", "m1"}


def test_what_loses_the_label_is_removed_for_who_watches_by_it(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 2)
    since = cluster.call("GET", path).json()["metadata"]["resourceVersion"]
    cluster.merge(f"{path}/m1", {"metadata": {"labels": {"app": "even"}}})
    odd = of(watched(cluster, path, resourceVersion=since, labelSelector="app=odd"), 1)
    even = of(watched(cluster, path, resourceVersion=since, labelSelector="app=even"), 1)
    assert (odd, even) == ([("DELETED", "m1")], [("ADDED", "m1")])


def test_a_change_reaches_a_watch_that_is_open(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 0)
    since = cluster.call("GET", path).json()["metadata"]["resourceVersion"]
    events = watched(cluster, path, seconds=5, resourceVersion=since, allowWatchBookmarks="true")
    cluster.call("POST", path, config_map(namespace, "new"))
    assert of(events, 1) == [("ADDED", "new")]


def test_a_bookmark_is_as_new_as_the_server(cluster: LocalCluster, namespace: str) -> None:
    cluster.standin()
    path = filled(cluster, namespace, 1)
    since = cluster.call("GET", path).json()["metadata"]["resourceVersion"]
    cluster.apply(f"{POLICIES.format(namespace)}/a", network_policy(namespace, "a"))
    mark = next(watched(cluster, path, resourceVersion=since, allowWatchBookmarks="true"))
    assert mark["type"] == "BOOKMARK"
    assert int(mark["object"]["metadata"]["resourceVersion"]) > int(since)


def test_a_watch_from_too_long_ago_is_told_so(cluster: LocalCluster, namespace: str) -> None:
    path = filled(cluster, namespace, 1)
    since = cluster.call("GET", path).json()["metadata"]["resourceVersion"]
    cluster.forget()
    (said,) = watched(cluster, path, resourceVersion=since)
    assert (said["type"], said["object"]["code"], said["object"]["reason"]) == ("ERROR", 410, "Expired")
