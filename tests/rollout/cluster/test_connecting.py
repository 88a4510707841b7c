"""How a cluster is reached: tried before it is kept, kept encrypted, and told to nobody."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from apps.audit.models import Event
from apps.rollout.cluster.settings import settings_of
from apps.rollout.models import Preflight, Production, Revision, Target, TargetArtifact
from apps.rollout.services import preflights
from apps.rollout.services.cluster import connecting
from apps.rollout.services.cluster.connecting import ClusterRefused, Way
from apps.rollout.services.targets import BadTarget, TargetExists
from apps.rollout.surroundings import cluster_surroundings, secret_of
from tests.factories import access as factory
from tests.factories.access import AT
from tests.localcluster.cluster import ADMIN, LocalCluster
from tests.rollout.cluster.world import OLGA, agreed, by_token, cluster_spec, policy
from tests.rollout.world import Hands, make_target, mesh_spec

pytestmark = pytest.mark.django_db
PROGRAM = {"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}


def kubeconfig(cluster: LocalCluster, **user: object) -> str:
    place = {"server": cluster.url}
    if cluster.ca_pem:
        place["certificate-authority-data"] = base64.b64encode(cluster.ca_pem.encode()).decode()
    return yaml.safe_dump(
        {
            "current-context": "shop",
            "contexts": [{"name": "shop", "context": {"cluster": "shop", "user": "sallyport"}}],
            "clusters": [{"name": "shop", "cluster": place}],
            "users": [{"name": "sallyport", "user": user or {"token": ADMIN}}],
        }
    )


def test_a_new_cluster_is_tried_and_its_credential_is_seen_nowhere(shop: factory.Shop, cluster: LocalCluster) -> None:
    spec = replace(cluster_spec(cluster), credentials={})
    target = connecting.add(spec=spec, way=Way("kubeconfig", kubeconfig=kubeconfig(cluster)), actor=OLGA, at=AT)
    assert (target.config["server"], target.config["reached"], target.production) == (
        cluster.url,
        "kubeconfig",
        "approved",
    )
    assert ADMIN.encode() not in bytes(target.secret_sealed)
    assert ADMIN in secret_of(target)["kubeconfig"]
    assert ADMIN not in json.dumps(list(Event.objects.values("before", "after", "context")))
    assert ADMIN not in json.dumps([target.config, target.facts])
    with pytest.raises(TargetExists):
        connecting.add(spec=spec, way=by_token(cluster), actor=OLGA, at=AT)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (lambda cluster: by_token(cluster, "no-such-token"), "refuses the token"),
        (lambda _: Way("token", server="http://127.0.0.1:1", token="x"), "cannot be reached"),
        (lambda _: Way("token", server="http://cluster.example", token="x"), "unencrypted"),
        (lambda _: Way("token", server="ftp://127.0.0.1", token="x"), "https address"),
        (
            lambda cluster: Way(
                "kubeconfig",
                kubeconfig=kubeconfig(cluster, exec=PROGRAM),
            ),
            "wants a program to be run",
        ),
        (lambda cluster: Way("kubeconfig", kubeconfig=kubeconfig(cluster, tokenFile="/etc/passwd")), "names files"),
        (lambda _: Way("kubeconfig", kubeconfig="- a"), "not a kubeconfig"),
        (lambda _: Way("kubeconfig"), "Give a kubeconfig"),
        (lambda _: Way("elsewhere"), "Choose one of"),
    ],
)
def test_what_the_cluster_does_not_take_changes_nothing(
    shop: factory.Shop, cluster: LocalCluster, way: object, said: str
) -> None:
    spec = replace(cluster_spec(cluster), credentials={})
    with pytest.raises(ClusterRefused) as refused:
        connecting.add(spec=spec, way=way(cluster), actor=OLGA, at=AT)  # type: ignore[operator]  # a lambda
    assert said in " ".join(text for texts in refused.value.fields.values() for text in texts)
    assert ADMIN not in str(refused.value)
    assert Target.objects.count() == 0


def test_a_cluster_at_another_address_is_believed_to_hold_nothing(
    target: Target, cluster: LocalCluster, hands: Hands
) -> None:
    agreed(hands)
    other = cluster.url.replace("127.0.0.1", "localhost")
    connecting.connect(slug="cluster", way=by_token(cluster, host="localhost"), actor=OLGA, at=AT)
    assert set(TargetArtifact.objects.values_list("applied_sha256", flat=True)) == {"drifted"}
    hands.work()
    target.refresh_from_db()
    assert (target.config["server"], target.error) == (other, "")
    assert policy(cluster) is not None


def test_only_a_cluster_is_connected_so(shop: factory.Shop, cluster: LocalCluster) -> None:
    make_target(mesh_spec(), AT)
    with pytest.raises(BadTarget):
        connecting.connect(slug="mesh", way=by_token(cluster), actor=OLGA, at=AT)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"emitters": []}, "emitters"),
        ({"emitters": ["istio"]}, "emitters"),
        ({"namespaces": []}, "namespaces"),
        ({"namespaces": ["Shop"]}, "namespaces"),
        ({"isolated": ["elsewhere"]}, "isolated"),
        ({"direct": ["pay ments"]}, "direct"),
        ({"emitters": ["gateway"]}, "gateway"),
        ({"access_control": "maybe"}, "access_control"),
        ({"mtls": "sometimes"}, "mtls"),
        ({"verifier": "verifier"}, "verifier"),
        ({"plus": "yes"}, "plus"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    shop: factory.Shop, config: dict[str, object], field: str
) -> None:
    spec = cluster_spec("https://127.0.0.1:1")
    with pytest.raises(BadTarget) as refused:
        make_target(replace(spec, config={**spec.config, **config}), AT)
    assert list(refused.value.fields) == [field]


def test_the_settings_are_what_is_compiled_with(target: Target) -> None:
    chosen = replace(settings_of(target.config), emitters=("networkpolicy", "smi"), mtls="strict", isolated=("shop",))
    changed = connecting.change_settings(slug="cluster", chosen=chosen, actor=OLGA, at=AT)
    around = cluster_surroundings(changed, AT)
    assert (around.cluster, around.trust_domain, around.at) == ("cluster", "shop.test", int(AT.timestamp()))
    assert (around.emitters, around.mtls, around.isolated) == (
        frozenset({"networkpolicy", "smi"}),
        "strict",
        frozenset({"shop"}),
    )
    assert changed.config["server"] == target.config["server"]


def test_what_a_cluster_no_longer_takes_is_removed(target: Target, cluster: LocalCluster, hands: Hands) -> None:
    agreed(hands)
    chosen = replace(settings_of(target.config), emitters=("nic",))
    connecting.change_settings(slug="cluster", chosen=chosen, actor=OLGA, at=AT)
    hands.work()
    assert policy(cluster) is None
    told = {trap["code"]: trap["severity"] for trap in Revision.objects.latest("number").traps}
    assert told["netpol_reopens"] == "warning"


def test_what_a_cluster_takes_only_now_is_told_as_what_is_new_to_it(target: Target, hands: Hands) -> None:
    agreed(hands)
    Target.objects.update(production=Production.AUTOMATIC)
    chosen = replace(settings_of(target.config), emitters=("networkpolicy", "smi"), mtls="strict")
    connecting.change_settings(slug="cluster", chosen=chosen, actor=OLGA, at=AT)
    hands.work()
    assert {trap["code"] for trap in Revision.objects.latest("number").traps} >= {"first_target_closes"}
    assert "netpol_isolates" not in {trap["code"] for trap in Revision.objects.latest("number").traps}
    connecting.change_settings(slug="cluster", chosen=replace(chosen, emitters=("networkpolicy",)), actor=OLGA, at=AT)
    hands.work()
    told = {trap["code"]: trap["severity"] for trap in Revision.objects.latest("number").traps}
    assert told["last_target_opens"] == "error"


def test_a_look_tells_what_is_granted_and_what_breaks_without_it(
    shop: factory.Shop, whole_cluster: LocalCluster, cluster: LocalCluster
) -> None:
    target = make_target(cluster_spec(cluster, "networkpolicy", "smi"), AT)
    made = preflights.ask(slug="cluster", actor=OLGA, at=AT)
    assert preflights.run(preflight_id=made.pk, clock=lambda: AT)
    found = {one["name"]: one for one in Preflight.objects.get().findings}
    assert found["It answers"]["said"].startswith("Kubernetes v1.")
    assert found["NetworkPolicy (networkpolicies.networking.k8s.io)"]["verdict"] == "granted"
    assert (found["Strict mTLS"]["verdict"], found["Strict mTLS"]["needed"]) == ("missing", False)
    assert preflights.stoppers(Preflight.objects.get()) == 0
    connecting.Target.objects.filter(pk=target.pk).update(config={**target.config, "server": "http://127.0.0.1:1"})
    made = preflights.ask(slug="cluster", actor=OLGA, at=AT)
    preflights.run(preflight_id=made.pk, clock=lambda: AT)
    assert "cannot be reached" in Preflight.objects.get(pk=made.pk).error


def test_the_commands(shop: factory.Shop, cluster: LocalCluster, tmp_path: Path) -> None:
    spec = cluster_spec("https://127.0.0.1:1")
    config, file, token, authority = (tmp_path / name for name in ("targets.json", "kubeconfig", "token", "ca"))
    entry = {"slug": "cluster", "name": "C", "driver": "kubernetes", "config": settings_of(spec.config).config}
    config.write_text(json.dumps({"targets": [entry]}))
    file.write_text(kubeconfig(cluster))
    token.write_text("no-such-token\n")
    authority.write_text(cluster.ca_pem)
    call_command("ensure_targets", config=config)
    call_command("connect_cluster", "cluster", kubeconfig=file)
    assert Target.objects.get().config["server"] == cluster.url
    with pytest.raises(CommandError, match="refuses the token"):
        call_command("connect_cluster", "cluster", server=cluster.url, token_file=token, ca_file=authority)
    call_command("connect_cluster", "cluster", agent=True)
    assert (Target.objects.get().delivery, secret_of(Target.objects.get())["kubeconfig"]) == ("pulled", "")
