"""The agent shares no code with the console, so what both must judge alike is held together here."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.compiler.emitters.cluster import agent as printed
from apps.meshagent.cluster import applying, compare, kinds, reviewing
from apps.rollout.cluster import reports
from apps.rollout.drivers.kubernetes import closing, driver
from apps.rollout.drivers.kubernetes import compare as consoles
from apps.rollout.drivers.kubernetes.api import MANAGER
from apps.rollout.drivers.kubernetes.kinds import KINDS, ref_of
from apps.rollout.services.cluster import sights

NAMES = st.sampled_from(["from", "ports", "port", "sources", "methods", "x", "spec", "podSelector"])
VALUES = st.recursive(
    st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["a", "b"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
FIELDS = st.dictionaries(st.sampled_from(["f:from", "f:ports", "f:x", "."]), st.just({}), max_size=2)
OWNERS = st.lists(
    st.builds(
        lambda manager, fields, part: {
            "manager": manager,
            "operation": "Apply",
            "fieldsV1": {"f:spec": fields},
            **part,
        },
        st.sampled_from([MANAGER, "argocd", "kubectl"]),
        FIELDS,
        st.sampled_from([{}, {"subresource": "status"}]),
    ),
    max_size=3,
)


def whole(spec: Any, owners: Any, labels: Any) -> dict[str, Any]:
    meta = {"name": "a", "namespace": "shop", "uid": "1", "managedFields": owners, "labels": labels}
    return {"apiVersion": "v1", "kind": "A", "metadata": {**meta, "annotations": {consoles.CONTENT: "h"}}, "spec": spec}


def test_the_kinds_are_those_of_the_console_in_its_order() -> None:
    assert {key: (one.version, one.rank, one.opens, one.data) for key, one in kinds.KINDS.items()} == {
        key: (one.version, one.rank, one.opens, one.data) for key, one in KINDS.items()
    }
    assert [kinds.spoken(key) for key in KINDS] == [kind.api_version for kind in KINDS.values()]
    for key in KINDS:
        path = f"shop/{key}/a.json"
        assert (kinds.ref_of(path).path, ref_of(path).path) == (path, path)


def test_names_and_limits_are_the_same_on_both_sides() -> None:
    for name in ("CLUSTER", "SERVICE", "REVISION", "CONTENT", "CLOSED", "MANAGED_BY"):
        assert getattr(compare, name) == getattr(consoles, name)
    assert (compare.MANAGER, applying.NOBODY) == (MANAGER, closing.NOBODY)
    assert compare.selector("east") == consoles.selector("east")
    assert reviewing.VERBS == printed.VERBS
    assert sights.MOST_BEHIND == reports.MOST_BEHIND


@given(live=OBJECTS, wanted=OBJECTS)
@settings(max_examples=150, deadline=None)
def test_what_is_said_and_what_narrows_is_judged_alike(live: Any, wanted: Any) -> None:
    assert compare.says(live, wanted) == consoles.says(live, wanted)
    assert compare.narrows(live, wanted) == consoles.narrows(live, wanted)


@given(spec=OBJECTS, owners=OWNERS, labels=st.sampled_from([{}, {consoles.CLUSTER: "east"}, {consoles.REVISION: "4"}]))
@settings(max_examples=150, deadline=None)
def test_what_is_there_is_known_by_the_same_hash(spec: Any, owners: Any, labels: Any) -> None:
    live, wanted = whole(spec, owners, labels), {"spec": spec}
    assert compare.held_hash(live, wanted, "h") == consoles.held_hash(live, wanted, "h", driver.MANAGER)
    assert compare.text_of(live) == consoles.text_of(live)
    assert compare.is_ours(live, "east") == consoles.is_ours(live, "east", MANAGER)
    assert compare.makers_of(live) == consoles.makers_of(live, MANAGER)
    assert compare.to_send(live, 3, "h") == consoles.to_send(live, 3, "h")
