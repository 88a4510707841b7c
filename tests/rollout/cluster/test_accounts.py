"""An agent is let in by the service account it runs as: by tokens its cluster signs for this console, and no other."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from joserfc.jwk import RSAKey

from apps.audit.actors import SYSTEM
from apps.identity.proofs import issuers
from apps.rollout.models import Node, Target
from apps.rollout.services import nodes
from apps.rollout.services.targets import BadTarget, enroll_account, enroll_node
from tests.factories import access as factory
from tests.rollout.cluster.inside import ACCOUNT, KEY, SUBJECT, let_in, projected, trusted
from tests.rollout.cluster.world import OLGA, cluster_spec
from tests.rollout.world import make_target, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def inner(shop: factory.Shop) -> Target:
    made = make_target(cluster_spec(""))
    Target.objects.update(delivery="pulled")
    return made


def test_its_own_token_opens_and_no_other_does(inner: Target) -> None:
    let_in()
    node = nodes.authenticate_node(token=projected(), at=now())
    assert (node.name, node.account, node.issuer, node.applies) == ("agent", SUBJECT, "inner", True)
    for token in _others():
        with pytest.raises(nodes.UnknownNode):
            nodes.authenticate_node(token=token, at=now())


def _others() -> list[str]:
    at = int(time.time())
    changed: list[dict[str, Any]] = [
        {"sub": "system:serviceaccount:shop:cart"},
        {"aud": ["https://kubernetes.default.svc"]},
        {"iss": "https://elsewhere.test"},
        {"iat": at - 7200, "exp": at - 3600},
        {"key": RSAKey.generate_key(2048, {"kid": KEY.kid})},
    ]
    return [*(projected(**one) for one in changed), "", "a.b.c", "spn_nothing"]


def test_a_cluster_that_is_switched_off_shuts_its_agent_out(inner: Target) -> None:
    let_in()
    issuers.switch_issuer(slug="inner", enabled=False, actor=SYSTEM, at=now())
    with pytest.raises(nodes.UnknownNode):
        nodes.authenticate_node(token=projected(), at=now())


def test_an_account_replaces_a_token_and_a_token_an_account(inner: Target) -> None:
    first = enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=now())
    let_in()
    with pytest.raises(nodes.UnknownNode):
        nodes.authenticate_node(token=first.token, at=now())
    second = enroll_node(target_slug="cluster", name="agent", actor=OLGA, at=now())
    assert nodes.authenticate_node(token=second.token, at=now()).account == ""
    with pytest.raises(nodes.UnknownNode):
        nodes.authenticate_node(token=projected(), at=now())


def test_an_account_stands_for_one_node_and_only_a_trusted_clusters_counts(inner: Target) -> None:
    with pytest.raises(BadTarget) as refused:
        enroll_account(target_slug="cluster", name="agent", issuer="inner", account=ACCOUNT, actor=OLGA, at=now())
    assert list(refused.value.fields) == ["issuer"]
    let_in()
    for name, account in (("other", ACCOUNT), ("agent", "sallyport-agent")):
        with pytest.raises(BadTarget) as refused:
            enroll_account(target_slug="cluster", name=name, issuer="inner", account=account, actor=OLGA, at=now())
        assert list(refused.value.fields) == ["account"]


def test_the_command(inner: Target) -> None:
    with pytest.raises(CommandError, match="Choose a cluster whose tokens are trusted"):
        call_command("enroll_node", "cluster", "agent", issuer="inner", account=ACCOUNT)
    with pytest.raises(CommandError, match="Say where the token and the keys go"):
        call_command("enroll_node", "cluster", "agent")
    trusted()
    call_command("enroll_node", "cluster", "agent", issuer="inner", account=ACCOUNT)
    assert Node.objects.get().account == SUBJECT
