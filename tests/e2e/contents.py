"""What a house has after some weeks: directories that push, people who left, proofs, limits, sessions elsewhere.

Directories push and hooks fire over HTTP, as they do; the rest is done by the services, as administrators do it.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore

from apps.audit.actors import SYSTEM
from apps.identity import selectors, services
from apps.identity.mapping import deciding
from apps.identity.mapping.rules import Rule
from apps.identity.models import GroupRule, PendingMapping, ReceivedSignal, ScimExchange
from apps.identity.models import Provider as Row
from apps.identity.proofs import aws_reading, aws_syncing, bindings, issuers, limits
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.conditions import Condition
from apps.identity.proofs.issuers import IssuerInput
from apps.identity.views import aws
from tests.factories.identity import directory
from tests.identity.proofs.accounts import Account
from tests.identity.providers.provider import Provider, running_provider, set_up
from tests.identity.scim.caller import GROUP, okta_user
from tests.identity.signals.world import delivery, log_event
from tests.running import wait_until

LONG_GROUP = "App-Sallyport-Payments-Production-Engineers-Germany-Austria (kept by Finance Systems)"
WEEK = timedelta(days=7)
AGENT = "agent:release-bot"


def main() -> None:
    with running_provider() as there:
        sys.stdout.write(json.dumps(fill(there, at=datetime.now(UTC))) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


def fill(there: Provider, *, at: datetime) -> dict[str, str]:
    acme = ensure_acme(there)
    ensure_untested(at)
    names = {"provider": acme.slug, **push(acme, at), **pause(at), **leave(acme, at)}
    sign_in_elsewhere(acme, at)
    return {**names, **prove(at), **copy_accounts(at)}


class Pushing:
    """A directory's side of SCIM."""

    def __init__(self, provider: Row, at: datetime) -> None:
        issued = services.issue_provider_secret(
            provider_slug=provider.slug, channel="scim", expires_at=at + 52 * WEEK, actor=SYSTEM, at=at
        )
        self.headers = {"Authorization": f"Bearer {issued.plain}", "Content-Type": "application/scim+json"}

    def post(self, path: str, body: object, *, expect: int = 201) -> dict[str, Any]:
        address = f"{settings.SALLYPORT_URL}/scim/v2{path}"
        answer = requests.post(address, data=json.dumps(body), headers=self.headers, timeout=10)
        assert answer.status_code == expect, answer.text
        return dict(answer.json())

    def user(self, name: str) -> dict[str, Any]:
        return self.post("/Users", okta_user(f"{name}@acme.example"))

    def group(self, name: str, *members: dict[str, Any]) -> None:
        wanted = [{"value": one["id"], "display": one["userName"]} for one in members]
        self.post("/Groups", {"schemas": [GROUP], "displayName": name, "members": wanted})


def ensure_acme(there: Provider) -> Row:
    """A provider that is on, whose people are those of the demo."""
    there.claims = {
        "sub": "00uada",
        "auth_time": int(datetime.now(UTC).timestamp()),
        "groups": ["sallyport-payments", LONG_GROUP],
        "email": "ada@acme.example",
        "amr": ["mfa", "otp", "pwd"],
    }
    there.userinfo = {"sub": "00uada"}
    acme = set_up(there, "acme", preset="okta_custom")
    for name in ("ada", "ben", "cyd", "dan", "eva"):
        services.link_login(
            issuer=there.issuer, sub=f"00u{name}", subject_key=f"person:{name}", actor=SYSTEM, at=acme.created_at
        )
    return acme


def ensure_untested(at: datetime) -> None:
    facts = services.ProviderFacts(
        name="Contoso Entra",
        issuer="https://login.microsoftonline.com/8f0c2c1e-0000-4000-8000-000000000001/v2.0",
        client_id="3d1f6c1a-5f0e-4b68-9f53-2b7d0b5a9c11",
        preset="entra",
        tenant_claim="tid",
        tenant="8f0c2c1e-0000-4000-8000-000000000001",
    )
    services.add_provider(slug="contoso", facts=facts, client_secret="", actor=SYSTEM, at=at)


def push(acme: Row, at: datetime) -> dict[str, str]:
    """Users, groups and a refusal arrive; two rules say what the groups mean."""
    them = Pushing(acme, at)
    ada, ben, cyd, mia, noa = (them.user(name) for name in ("ada", "ben", "cyd", "mia", "noa"))
    them.group("sallyport-payments", ada, mia, noa)
    them.group("sallyport-security", cyd)
    them.group(LONG_GROUP, ada, ben)
    them.post("/Users", okta_user("ada@acme.example"), expect=409)
    add_rule(acme, Rule("exact", "sallyport-payments", team="team:payments", team_role="member"), at)
    add_rule(acme, Rule("exact", "sallyport-security", console_role="security"), at)
    add_rule(acme, Rule("prefix", LONG_GROUP[:40], team="team:storefront", team_role="member"), at)
    rule = GroupRule.objects.filter(provider=acme).earliest("pk")
    exchange = ScimExchange.objects.filter(provider=acme, status=201, path__endswith="/Users").earliest("pk")
    return {"rule": str(rule.pk), "exchange": str(exchange.pk)}


def add_rule(provider: Row, rule: Rule, at: datetime) -> None:
    assert deciding.add_rule(provider_slug=provider.slug, rule=rule, actor=SYSTEM, at=at).paused is None


def pause(at: datetime) -> dict[str, str]:
    """A second directory, and a change of its rules that would take a place from everybody."""
    globex = directory(
        "globex", name="Globex Workforce Directory (Europe)", enabled=True, discovered_at=at, endpoints={}
    )
    them = Pushing(globex, at)
    people = [them.user(name) for name in ("ona", "pia", "rolf", "sven", "tom", "uta", "vera")]
    them.group("warehouse", *people)
    add_rule(globex, Rule("exact", "warehouse", team="team:platform", team_role="member"), at)
    rule = GroupRule.objects.get(provider=globex)
    deciding.remove_rule(provider_slug=globex.slug, rule_id=rule.pk, actor=SYSTEM, at=at)
    pending = PendingMapping.objects.get(provider=globex)
    return {"paused": globex.slug, "pending": str(pending.pk)}


def leave(acme: Row, at: datetime) -> dict[str, str]:
    """An event hook says that somebody left."""
    issued = services.issue_hook_secret(provider_slug=acme.slug, actor=SYSTEM, at=at)
    body = delivery(
        log_event("user.lifecycle.deactivate", sub="00unoa"), log_event("user.lifecycle.deactivate", sub="00uwho")
    )
    address = f"{settings.SALLYPORT_URL}/signals/{acme.slug}/okta-events"
    answer = requests.post(address, json=body, headers={"Authorization": issued.plain}, timeout=10)
    assert answer.status_code == 204, answer.text
    waiting = ReceivedSignal.objects.filter(outcome="waiting")
    wait_until(lambda: not waiting.exists(), seconds=20, what="acting on the signal")
    noa = selectors.find_by_login(issuer=acme.issuer, sub="00unoa")
    assert noa is not None
    return {"left": noa.key}


def sign_in_elsewhere(acme: Row, at: datetime) -> None:
    """Ada is signed in on two more machines."""
    ada = selectors.get_subject("person:ada")
    for hours in (3, 30):
        session = SessionStore()
        session.create()
        services.note_sign_in(
            subject=ada, way="demo", session_key=str(session.session_key), at=at - timedelta(hours=hours)
        )
    assert acme.enabled


def prove(at: datetime) -> dict[str, str]:
    """Issuers that are trusted, what stands for a workload and an agent, and how much the agent may do."""
    given = (
        IssuerInput(slug="github", kind="github", jwks_uri="https://ci.test/keys"),
        IssuerInput(
            slug="production",
            kind="eks",
            issuer="https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E",
            jwks_uri="https://oidc.eks.test/keys",
        ),
    )
    for one in given:
        issuers.add_issuer(given=issuers.completed(one), actor=SYSTEM, at=at)
    workload = next(one for one in selectors.list_subjects(kind="workload") if one.key.endswith("/payments"))
    bound = {
        AGENT: Outside(
            kind="jwt",
            issuer="github",
            sub="repo:acme-shop/storefront-release:environment:production",
            conditions=[Condition(claim=["repository_owner_id"], match="equal", value="12345678")],
        ),
        workload.key: Outside(kind="jwt", issuer="production", sub="system:serviceaccount:shop:payments"),
    }
    for key, outside in bound.items():
        bindings.bind(subject_key=key, outside=outside, actor=SYSTEM, at=at)
    limits.set_limits(subject_key=AGENT, calls_per_day=5000, calls_per_minute=60, actor=SYSTEM, at=at)
    return {"workload": workload.key}


def copy_accounts(at: datetime) -> dict[str, str]:
    """One account is as it should be, of the other most roles are gone, and a third cannot be read."""
    names = ["payments-production", "checkout-production", "AWSReservedSSO_AdministratorAccess_4f1d9c0e7a2b6d33"]
    shop = Account("123456789012", names)
    aws_syncing.copy(role="own", open_as=lambda role: shop, at=at)
    other = "arn:aws:iam::210987654321:role/sallyport-reads-roles-and-users"
    many = [f"batch-{number:02d}" for number in range(20)]
    aws_syncing.copy(role=other, open_as=lambda role: Account("210987654321", many), at=at - timedelta(hours=1))
    aws_syncing.copy(role=other, open_as=lambda role: Account("210987654321", many, gone=15), at=at)
    bound = shop.roles[1]["RoleId"]
    outside = aws.outside_of(aws_reading.get_principal(bound))
    checkout = next(one for one in selectors.list_subjects(kind="workload") if one.key.endswith("/checkout"))
    bindings.bind(subject_key=checkout.key, outside=outside, actor=SYSTEM, at=at)
    return {"aws": shop.roles[0]["RoleId"], "aws_bound": bound}
