"""Who may do what: rules of a token, and Roles with their bindings."""

from __future__ import annotations

from tests.localcluster.cluster import LocalCluster
from tests.localcluster.conftest import READER
from tests.localcluster.manifests import CONFIG_MAPS, config_map, named

RBAC = "rbac.authorization.k8s.io"


def review(cluster: LocalCluster, token: str, namespace: str, verb: str) -> dict[str, object]:
    attributes = {"namespace": namespace, "verb": verb, "group": "", "resource": "configmaps"}
    body = {"spec": {"resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = cluster.call("POST", path, body, token=token)
    assert answer.status_code == 201
    return dict(answer.json()["status"])


def test_a_right_is_for_its_namespace_and_its_verbs(cluster: LocalCluster) -> None:
    shop, default = CONFIG_MAPS.format("shop"), CONFIG_MAPS.format("default")
    assert cluster.call("GET", shop, token=READER).status_code == 200
    assert cluster.call("GET", default, token=READER).status_code == 403
    refused = cluster.call("POST", shop, config_map("shop", "a"), token=READER)
    assert refused.json() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps is forbidden: User "reader" cannot create resource "configmaps" in API group "" in the '
        'namespace "shop"',
        "reason": "Forbidden",
        "details": {"kind": "configmaps"},
        "code": 403,
    }
    assert review(cluster, READER, "shop", "list")["allowed"] is True
    assert review(cluster, READER, "default", "list") == {"allowed": False}


def test_an_apply_of_what_is_not_there_needs_the_right_to_create(cluster: LocalCluster) -> None:
    token = bound(cluster, "patcher", ["get", "patch"])
    path = f"{CONFIG_MAPS.format('shop')}/new"
    headers = {"Content-Type": "application/apply-patch+yaml"}
    refused = cluster.call("PATCH", f"{path}?fieldManager=x", config_map("shop", "new"), token=token, headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
    assert refused.json()["message"].startswith('configmaps "new" is forbidden: ')


def bound(cluster: LocalCluster, name: str, verbs: list[str]) -> str:
    """A token of a service account that a Role allows these verbs."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    base = f"/apis/{RBAC}/v1/namespaces/shop"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "shop"}
    ref = {"apiGroup": RBAC, "kind": "Role", "name": name}
    cluster.call("POST", "/api/v1/namespaces/shop/serviceaccounts", named("v1", "ServiceAccount", "shop", name))
    cluster.call("POST", f"{base}/roles", named(f"{RBAC}/v1", "Role", "shop", name, rules=[rule]))
    binding = named(f"{RBAC}/v1", "RoleBinding", "shop", name, subjects=[subject], roleRef=ref)
    assert cluster.call("POST", f"{base}/rolebindings", binding).status_code == 201
    answer = cluster.call("POST", f"/api/v1/namespaces/shop/serviceaccounts/{name}/token", {})
    return str(answer.json()["status"]["token"])


def test_a_role_counts_once_it_is_bound(cluster: LocalCluster) -> None:
    token = bound(cluster, "lister", ["list"])
    assert cluster.call("GET", CONFIG_MAPS.format("shop"), token=token).status_code == 200
    assert review(cluster, token, "shop", "list") == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "lister/shop" of Role "lister" to ServiceAccount "lister/shop"',
    }
    cluster.call("DELETE", f"/apis/{RBAC}/v1/namespaces/shop/rolebindings/lister")
    assert cluster.call("GET", CONFIG_MAPS.format("shop"), token=token).status_code == 403


def test_a_watch_is_a_right_of_its_own(cluster: LocalCluster) -> None:
    refused = cluster.call("GET", CONFIG_MAPS.format("shop"), token=READER, params={"watch": "1"})
    assert (refused.status_code, "cannot watch" in refused.json()["message"]) == (403, True)
