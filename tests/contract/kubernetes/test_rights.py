"""The least a cluster has to allow, and finding out whether it does. Against a real cluster too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import yaml

from apps.rollout.drivers.kubernetes.connection import config_of
from apps.rollout.drivers.kubernetes.driver import ClusterApi, ClusterConnection, Ear, rbac_manifest, server_of
from tests.contract.kubernetes.site import CHOSEN, POLICIES, Hand, driver_for, plan_of, service_objects

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"
PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": RBAC + "/{}/roles",
    "RoleBinding": RBAC + "/{}/rolebindings",
}


def install(hand: Hand, namespace: str, kinds: tuple[str, ...]) -> str:
    """What an administrator does with the manifest; the account's token."""
    for one in yaml.safe_load_all(rbac_manifest([namespace], kinds, home=namespace)):
        if one["kind"] in PATHS:
            answer = hand.call("POST", PATHS[one["kind"]].format(one["metadata"]["namespace"]), one)
            assert answer.status_code == 201, answer.text
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/sallyport/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    return str(hand.call("POST", path, body).json()["status"]["token"])


@pytest.fixture
def account(connection: ClusterConnection, hand: Hand, namespace: str) -> ClusterConnection:
    return as_token(connection, install(hand, namespace, CHOSEN))


@pytest.fixture
def as_account(account: ClusterConnection) -> Iterator[ClusterApi]:
    api = ClusterApi(account)
    yield api
    api.close()


def as_token(connection: ClusterConnection, token: str) -> ClusterConnection:
    """The same cluster, as somebody else."""
    if not connection.kubeconfig:
        return replace(connection, token=token)
    document = yaml.safe_load(connection.kubeconfig)
    user = config_of(connection).context.user
    document["users"] = [{"name": user, "user": {"token": token}}]
    return ClusterConnection(kubeconfig=yaml.safe_dump(document))


def test_the_manifest_allows_all_the_driver_does(
    account: ClusterConnection, as_account: ClusterApi, hand: Hand, namespace: str
) -> None:
    driver = driver_for(as_account, namespace)
    objects = service_objects(namespace, "cart", "web")
    driver.setup()
    assert driver.apply(plan_of(driver, objects)).done
    with closing(Ear(account, "test")) as ear:
        ear.listen(driver.read_back(objects).positions)
        assert ear.wait(0.5) == [], "no stream is refused"
    assert driver.apply(plan_of(driver, [], [one.path for one in objects], 2)).done
    assert driver.access_review().suffices


def test_nothing_beyond_it_is_allowed(as_account: ClusterApi, namespace: str) -> None:
    elsewhere = driver_for(as_account, "default")
    review = elsewhere.access_review()
    assert (review.suffices, review.missing) == (False, ())
    assert {one.namespace for one in review.refused} == {"default"}
    assert len(review.refused) == len(CHOSEN) * 6


def test_what_is_lacking_is_told_by_verb_kind_and_namespace(
    connection: ClusterConnection, hand: Hand, namespace: str
) -> None:
    others = tuple(kind for kind in CHOSEN if kind != POLICIES)
    api = ClusterApi(as_token(connection, install(hand, namespace, others)))
    driver = driver_for(api, namespace)
    refused = driver.access_review().refused
    assert {(one.namespace, one.kind) for one in refused} == {(namespace, POLICIES)}
    assert {one.verb for one in refused} == {"get", "list", "watch", "create", "patch", "delete"}
    step = driver.apply(plan_of(driver, service_objects(namespace, "cart", "web")))
    assert step.trouble == "not_permitted"
    assert 'cannot get resource "networkpolicies"' in step.error
    api.close()


def test_a_wrong_token_is_told_as_such(connection: ClusterConnection, namespace: str) -> None:
    api = ClusterApi(as_token(connection, "wrong"))
    driver = driver_for(api, namespace)
    step = driver.apply(plan_of(driver, service_objects(namespace, "cart", "web")))
    assert (step.trouble, step.done) == ("token_refused", False)
    assert server_of(connection).startswith("http")
    api.close()
