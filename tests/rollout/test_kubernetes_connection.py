"""How a cluster is reached: what is taken, and what is refused before anything is called."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from apps.rollout.drivers.kubernetes.connection import config_of
from apps.rollout.drivers.kubernetes.driver import (
    BadConnection,
    ClusterApi,
    ClusterConnection,
    kinds_for,
    rbac_manifest,
    server_of,
)

URL = "https://cluster.example.com:6443"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def kubeconfig(user: dict[str, Any] | None = None, **cluster: Any) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "one",
            "contexts": [
                {"name": "one", "context": {"cluster": "c", "user": "u"}},
                {"name": "two", "context": {"cluster": "other", "user": "u"}},
            ],
            "clusters": [
                {"name": "c", "cluster": {"server": URL, **cluster}},
                {"name": "other", "cluster": {"server": "https://other.example.com"}},
            ],
            "users": [{"name": "u", "user": user if user is not None else {"token": "secret"}}],
        }
    )


def test_an_address_with_a_token_and_an_authority() -> None:
    config = config_of(ClusterConnection(url=URL, token="secret", ca_pem=PEM))
    assert (config.cluster.server, config.user and config.user.token) == (URL, "secret")
    assert base64.b64decode(config.cluster.certificate_auth_data or "").decode() == PEM


def test_a_kubeconfig_in_its_own_or_another_context() -> None:
    text = kubeconfig()
    assert server_of(ClusterConnection(kubeconfig=text)) == URL
    assert server_of(ClusterConnection(kubeconfig=text, context="two")) == "https://other.example.com"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (kubeconfig({"exec": {"apiVersion": "v1", "command": "aws"}}), r"a program to be run here \(exec\)"),
        (kubeconfig({"auth-provider": {"name": "gcp"}}), r"a program to be run here \(auth-provider\)"),
        (kubeconfig({"tokenFile": "/etc/shadow"}), r"names files \(tokenFile\)"),
        (kubeconfig({"client-certificate": "a", "client-key": "b"}), r"names files \(client-certificate, client-key\)"),
        (kubeconfig(**{"certificate-authority": "/ca.pem"}), r"names files \(certificate-authority\)"),
        (kubeconfig(**{"insecure-skip-tls-verify": True}), "switches off the check"),
        (kubeconfig(server="http://cluster.example.com"), "use https"),
        (kubeconfig(server="cluster"), "names no https address"),
        ("- a list", "no YAML mapping"),
        ("{unclosed", "is not a kubeconfig"),
        ("clusters: []", "lacks something"),
        ("clusters: 1\ncontexts: 2", "is not a kubeconfig"),
    ],
)
def test_what_would_run_read_or_leak_something_here_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadConnection, match=said):
        ClusterApi(ClusterConnection(kubeconfig=text))


def test_a_context_that_is_not_there_is_named() -> None:
    with pytest.raises(BadConnection, match="three"):
        config_of(ClusterConnection(kubeconfig=kubeconfig(), context="three"))


def test_outside_a_cluster_nobody_is_inside_one() -> None:
    with pytest.raises(BadConnection, match="lacks something"):
        config_of(ClusterConnection(in_cluster=True))


def test_secrets_are_not_shown() -> None:
    shown = repr(ClusterConnection(url=URL, token="secret", kubeconfig=kubeconfig()))
    assert "secret" not in shown


def test_only_where_the_verifier_runs_may_anything_be_run() -> None:
    manifest = rbac_manifest(["shop", "pay"], kinds_for(["nic", "networkpolicy"]), verifier="sallyport")
    roles = [one for one in yaml.safe_load_all(manifest) if one["kind"] == "Role"]
    allowed = {
        role["metadata"]["namespace"]: sorted(kind for rule in role["rules"] for kind in rule["resources"])
        for role in roles
    }
    narrow = ["networkpolicies", "policies", "virtualserverroutes", "virtualservers"]
    assert allowed == {"shop": narrow, "pay": narrow, "sallyport": ["configmaps", "deployments", "services"]}


def test_secrets_are_read_only_for_nginx_plus() -> None:
    assert "secrets.core" not in kinds_for(["smi", "nic", "gateway", "networkpolicy"])
    assert "secrets.core" in kinds_for(["nic"], plus=True)
    assert "secrets.core" not in kinds_for(["smi"], plus=True)
