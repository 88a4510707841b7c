"""What a definition says an object may be, held against what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from apps.localcluster.schema import faults, pruned, unknown_fields
from tests.localcluster.cluster import LocalCluster, eventually
from tests.localcluster.definitions import definition
from tests.localcluster.manifests import LIMITS, TARGETS, limit, named, target


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"rate": "10r/h"}, "spec.rate", "Invalid value: \"10r/h\": spec.rate in body should match '^[0-9]+r/[sm]$'"),
        ({"rate": 10}, "spec.rate", 'Invalid value: "integer": spec.rate in body must be of type string: "integer"'),
        ({"burst": -1}, "spec.burst", "Invalid value: -1: spec.burst in body should be greater than or equal to 0"),
        ({"destination": {"kind": "Service"}}, "spec.destination.name", "Required value"),
        ({"mode": "both"}, "spec.mode", 'Unsupported value: "both": supported values: "on", "off"'),
        (
            {"delay": 1.5},
            "spec.delay",
            'Invalid value: "number": spec.delay in body must be of type integer,string: "number"',
        ),
    ],
)
def test_what_is_not_valid_is_refused_by_field(
    cluster: LocalCluster, namespace: str, spec: dict[str, Any], field: str, message: str
) -> None:
    refused = cluster.call("POST", LIMITS.format(namespace), limit(namespace, "a", **spec))
    assert (refused.status_code, refused.json()["reason"]) == (422, "Invalid")
    cause = refused.json()["details"]["causes"][0]
    assert (cause["field"], cause["message"]) == (field, message)
    assert refused.json()["message"] == f'RateLimit.specs.smi.nginx.com "a" is invalid: {field}: {message}'


def test_both_a_number_and_a_text_may_stand_for_either(cluster: LocalCluster, namespace: str) -> None:
    path = f"{LIMITS.format(namespace)}/a"
    assert cluster.apply(path, limit(namespace, "a", delay=5)).status_code == 201
    assert cluster.apply(path, limit(namespace, "a", delay="nodelay")).status_code == 200


def test_an_apply_of_what_nobody_declared_is_refused_as_the_real_server_does(
    cluster: LocalCluster, namespace: str
) -> None:
    refused = cluster.apply(f"{TARGETS.format(namespace)}/a", target(namespace, "a", "web", extra=1))
    assert refused.status_code == 500
    said = refused.json()["message"]
    assert said.startswith("failed to create typed patch object")
    assert said.endswith(": .spec.extra: field not declared in schema")


def test_a_strict_create_names_what_nobody_declared_and_another_leaves_it_out(
    cluster: LocalCluster, namespace: str
) -> None:
    cluster.since(25, custom=True)
    path, body = TARGETS.format(namespace), target(namespace, "a", "web", extra=1)
    refused = cluster.call("POST", path, body, params={"fieldValidation": "Strict"})
    assert refused.status_code == 400
    assert refused.json()["message"].endswith('strict decoding error: unknown field "spec.extra"')
    made = cluster.call("POST", path, body)
    assert made.status_code == 201
    assert "extra" not in made.json()["spec"]


def test_a_definition_is_served_once_it_is_made_and_gone_with_it(cluster: LocalCluster, namespace: str) -> None:
    thing = definition("demo.example.com", "v1", "Thing", "things", {"properties": {"size": {"type": "integer"}}})
    home = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    address = f"{home}/things.demo.example.com"
    cluster.define(thing)
    path = f"/apis/demo.example.com/v1/namespaces/{namespace}/things"
    eventually(lambda: cluster.call("GET", path).status_code == 200)
    conditions = cluster.call("GET", address).json()["status"]["conditions"]
    assert {one["type"] for one in conditions} == {"NamesAccepted", "Established"}
    body = named("demo.example.com/v1", "Thing", namespace, "a", spec={"size": 1})
    assert cluster.call("POST", path, body).status_code == 201
    names = [one["name"] for one in cluster.call("GET", "/apis/demo.example.com/v1").json()["resources"]]
    assert names == ["things", "things/status"]
    assert cluster.call("DELETE", address).status_code == 200
    eventually(lambda: cluster.call("GET", path).status_code == 404)


def test_a_group_is_a_domain(cluster: LocalCluster) -> None:
    thing = definition("apps", "v1", "Thing", "things", {})
    refused = cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", thing)
    said = 'spec.group: Invalid value: "apps": should be a domain with at least one dot'
    assert (refused.status_code, said in refused.json()["message"]) == (422, True)


def test_a_definition_under_another_name_is_refused(cluster: LocalCluster) -> None:
    thing = definition("demo.example.com", "v1", "Thing", "things", {})
    thing["metadata"]["name"] = "wrong"
    refused = cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", thing)
    assert (refused.status_code, refused.json()["details"]["causes"][0]["field"]) == (422, "metadata.name")


def test_a_list_whose_keys_may_be_missing_is_no_definition(cluster: LocalCluster) -> None:
    entry = {"type": "object", "properties": {"name": {"type": "string"}}}
    keyed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": entry}
    thing = definition("demo.example.com", "v1", "Thing", "things", {"properties": {"steps": keyed}})
    refused = cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", thing)
    assert refused.status_code == 422
    cause = refused.json()["details"]["causes"][0]
    assert cause["field"].endswith(".properties[spec].properties[steps].items.properties[name].default")
    assert "so it must have a default or be a required property" in cause["message"]


def test_a_group_of_kubernetes_itself_needs_its_approval(cluster: LocalCluster) -> None:
    thing = definition("things.k8s.io", "v1", "Thing", "things", {})
    refused = cluster.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", thing)
    said = "protected groups must have approval annotation"
    assert (refused.status_code, said in refused.json()["message"]) == (422, True)


DEEP = {
    "type": "object",
    "properties": {
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
        "one": {
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "type": "object",
            "properties": {"a": {}, "b": {}},
        },
    },
}


def test_undeclared_fields_are_found_wherever_they_are() -> None:
    sent = {"open": {"x": {"y": 1}}, "map": {"k": "v"}, "list": [{"a": "1", "b": "2"}], "c": 1}
    assert list(unknown_fields(DEEP, sent)) == ["list[0].b", "c"]
    assert pruned(DEEP, sent) == {"open": {"x": {"y": 1}}, "map": {"k": "v"}, "list": [{"a": "1"}]}


def test_alternatives_are_counted() -> None:
    assert list(faults(DEEP, {"one": {"a": 1}})) == []
    assert len(list(faults(DEEP, {"one": {"a": 1, "b": 2}}))) == 1
