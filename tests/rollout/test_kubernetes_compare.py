"""Whether an object says what an artifact says, and whether a change only takes something away."""

from __future__ import annotations

from typing import Any

import pytest

from apps.rollout.drivers.base import VendorError
from apps.rollout.drivers.kubernetes.compare import CONTENT, holds, narrows, others_in, says, text_of
from apps.rollout.drivers.kubernetes.kinds import KINDS, ref_of
from tests.localcluster.manifests import network_policy, target

A, B, C = ({"podSelector": {"matchLabels": {"app": name}}} for name in "abc")


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "status": 2}, {"a": 1}, True),
        ({"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": [{"port": 1}]}, True),
        ({}, {"ingress": [], "labels": {}}, True),
        ({"ingress": [{}]}, {"ingress": []}, False),
        ({"list": [1, 2]}, {"list": [2, 1]}, False),
        ({"a": "1"}, {"a": 1}, False),
        ({}, {"a": None}, True),
    ],
)
def test_all_that_is_wanted_has_to_be_there_and_nothing_else_counts(live: Any, wanted: Any, same: bool) -> None:
    assert says(live, wanted) is same


@pytest.mark.parametrize(
    ("live", "wanted", "less"),
    [
        ({"from": [A, B]}, {"from": [A]}, True),
        ({"from": [A]}, {"from": []}, False),
        ({"from": [A]}, {}, False),
        ({"from": [A]}, {"from": [B]}, False),
        ({"from": [A]}, {"from": [A, B]}, False),
        ({"sources": [A]}, {"sources": []}, True),
        ({"ingress": [{"from": [A, B], "ports": [1]}]}, {"ingress": [{"from": [A], "ports": [1]}]}, True),
        ({"ingress": [{"from": [A], "ports": [1]}]}, {"ingress": [{"from": [A]}]}, False),
        ({"ingress": [A, B, C]}, {"ingress": [C, A]}, True),
        ({"from": [A, B], "x": 1}, {"from": [A], "x": 2}, False),
        ({"from": [A]}, {"from": [A]}, False),
    ],
)
def test_a_change_narrows_when_it_only_takes_entries_out(live: Any, wanted: Any, less: bool) -> None:
    assert narrows(live, wanted) is less


def owned(manager: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    row = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    return {**row, "subresource": subresource} if subresource else row


def test_a_field_somebody_took_over_is_a_difference_even_with_our_value() -> None:
    wanted = target("shop", "a", "web")
    live = {**wanted, "metadata": {**wanted["metadata"], "annotations": {CONTENT: "h"}}}
    ours = owned("sallyport", {"f:spec": {"f:destination": {"f:name": {}}, "f:sources": {}}})
    live["metadata"]["managedFields"] = [ours]
    assert holds(live, wanted, "h", "sallyport")
    taken = owned("sallyport", {"f:spec": {"f:destination": {"f:name": {}}}})
    live["metadata"]["managedFields"] = [taken, owned("hand", {"f:spec": {"f:sources": {}}})]
    assert not holds(live, wanted, "h", "sallyport")


def test_fields_of_others_are_told_by_manager_without_the_status() -> None:
    live = network_policy("shop", "a")
    live["metadata"]["managedFields"] = [
        owned("sallyport", {"f:spec": {"f:ingress": {}}}),
        owned("hand", {"f:metadata": {"f:labels": {}}, "f:spec": {".": {}, "f:egress": {}, "f:ingress": {}}}),
        owned("controller", {"f:status": {}}, "status"),
        owned("annotator", {"f:metadata": {"f:annotations": {"f:x": {}}}}),
    ]
    assert others_in(live, "sallyport") == {"hand": (".spec.egress",)}


def test_what_is_shown_of_an_object_leaves_out_what_is_nobodys_business() -> None:
    live = {**target("shop", "a"), "status": {"x": 1}}
    live["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": [], "annotations": {CONTENT: "h"}}
    assert text_of(live) == text_of(target("shop", "a"))
    assert text_of(None) == ""


@pytest.mark.parametrize("path", ["shop/pods.core/a.json", "-/networkpolicies.networking.k8s.io/a.json", "x", "a/b"])
def test_a_path_of_something_else_is_refused(path: str) -> None:
    with pytest.raises(VendorError) as caught:
        ref_of(path)
    assert caught.value.kind == "unknown_kind"


def test_a_path_is_read_and_written_alike() -> None:
    for key in KINDS:
        assert ref_of(f"shop/{key}/a.json").path == f"shop/{key}/a.json"
