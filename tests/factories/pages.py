"""A house in which every page has something to show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from django.test import Client

from apps.access.models import AccessRequest, Grant, Guardrail
from apps.audit.actors import SYSTEM
from apps.identity import services as people
from apps.identity.mapping import deciding
from apps.identity.models import (
    ApiToken,
    AwsPrincipal,
    ClientKey,
    GroupRule,
    Login,
    PendingMapping,
    Provider,
    ProviderSecret,
    ReceivedSignal,
    ScimExchange,
    Subject,
    WorkloadIdentity,
)
from apps.identity.proofs import bindings, issuers
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.issuers import IssuerInput
from apps.outbox.models import Message
from apps.rollout.models import (
    Activation,
    Drift,
    Revision,
    Target,
)
from apps.telemetry import services as telemetry
from apps.trust import services as trust
from tests.factories import access, identity
from tests.factories.remembered import remembered
from tests.identity.providers.provider import usual_key


def signed_in(subject: Subject) -> Client:
    client = Client()
    client.force_login(identity.user(subject), backend="django.contrib.auth.backends.ModelBackend")
    return client


@dataclass(frozen=True)
class House:
    """A shop in which Ada waits for an answer and holds something else; Olga operates."""

    shop: access.Shop
    olga: Subject
    asked: AccessRequest
    grant: Grant
    target: Target
    revision: Revision
    drift: Drift
    dead: Message
    rid: str
    token: ApiToken
    login: Login
    provider: Provider
    secret: ProviderSecret
    proof: WorkloadIdentity
    directory: Directory
    center: Provider
    client_key: ClientKey
    principal: AwsPrincipal


@remembered
def house() -> House:
    at = datetime.now(UTC)
    shop = access.shop()
    olga = identity.person("olga", roles=("operator", "administrator"))
    asked = access.ask(shop.ada, at=at)
    grant = access.active_grant(shop.ada, shop.ben, routes=("read",), at=at)
    target = mesh_target(at)
    revision = revise(target, 1, at)
    provider = identity.provider()
    return House(
        shop=shop,
        olga=olga,
        asked=asked,
        grant=grant,
        target=target,
        revision=revision,
        drift=Drift.objects.create(
            target=target, path="node/a", expected="online", observed="offline", found_at=at, seen_at=at
        ),
        dead=Message.objects.create(
            topic="access.grant.changed", key="g_1", state="dead", attempts=10, available_at=at, created_at=at
        ),
        rid=call(shop.ada, at=at),
        token=identity.api_token(shop.ada)[0],
        login=identity.login(shop.ben),
        provider=provider,
        secret=signal(provider, shop.ada, at),
        proof=proof(shop.bot, at),
        directory=directory(at),
        center=identity.identity_center(),
        client_key=ClientKey.objects.create(
            provider=provider,
            kid="k1",
            public_jwk=usual_key().as_dict(private=False),
            private_sealed=b"",
            created_at=at,
            signs_from=at,
        ),
        principal=principal("AROAEXAMPLE000000001", at=at),
    )


def principal(stable_id: str, *, name: str = "payments-production", at: datetime, **more: object) -> AwsPrincipal:
    """A role of an AWS account, as the last copy saw it."""
    given = {
        "account": "123456789012",
        "kind": "aws_role",
        "arn": f"arn:aws:iam::123456789012:role/deployments/{name}",
        "tags": {"team": "payments"},
        "seen_at": at,
        **more,
    }
    return AwsPrincipal.objects.create(stable_id=stable_id, name=name, **given)


@dataclass(frozen=True)
class Directory:
    """One that pushes, has a rule, and waits for a decision."""

    provider: Provider
    secret: ProviderSecret
    rule: GroupRule
    pending: PendingMapping
    exchange: ScimExchange

    @property
    def shown(self) -> str:
        weighed = deciding.try_pending(self.pending, at=self.pending.opened_at)
        return deciding.fingerprint(weighed.changes)


def directory(at: datetime) -> Directory:
    provider = identity.directory("okta")
    identity.scim_token(provider, at=at)
    return Directory(
        provider=provider,
        secret=provider.secrets.get(),
        rule=GroupRule.objects.create(
            provider=provider, match="exact", pattern="audit", console_role="auditor", created_at=at
        ),
        pending=PendingMapping.objects.create(
            provider=provider, cause="sync", people=6, out_of=10, opened_at=at, opened_by="provider:okta"
        ),
        exchange=exchange(provider, at),
    )


def exchange(provider: Provider, at: datetime) -> ScimExchange:
    return ScimExchange.objects.create(
        provider=provider,
        at=at,
        method="POST",
        path="/scim/v2/Users",
        status=201,
        milliseconds=12,
        request_body='{"userName": "ada@example.test"}',
        response_body='{"id": "1"}',
    )


def signal(provider: Provider, who: Subject, at: datetime) -> ProviderSecret:
    """Something the provider said about ``who``, and the secret it said it with."""
    received(provider, who, at)
    return people.issue_hook_secret(provider_slug=provider.slug, actor=SYSTEM, at=at).secret


def received(provider: Provider, who: Subject, at: datetime) -> ReceivedSignal:
    return ReceivedSignal.objects.create(
        provider=provider,
        channel="event_hook",
        identifier=uuid4().hex,
        kind="user.lifecycle.deactivate",
        action="leave",
        subject=who,
        received_at=at,
        outcome="left",
        done_at=at,
        sessions=1,
    )


def proof(bot: Subject, at: datetime) -> WorkloadIdentity:
    """A CI job that is the agent."""
    given = IssuerInput(slug="github", kind="github", jwks_uri="https://ci.test/keys")
    issuers.add_issuer(given=issuers.completed(given), actor=SYSTEM, at=at)
    outside = Outside(kind="jwt", issuer="github", sub="repo:shop/web:environment:prod")
    return bindings.bind(subject_key=bot.key, outside=outside, actor=SYSTEM, at=at)


def guardrail() -> Guardrail:
    """Made when it is not there, without a trace in the record."""
    said = {"sentence": "Agents never delete.", "kinds": ["agent"], "methods": ["DELETE"]}
    return Guardrail.objects.get_or_create(slug="agents-never-delete", defaults=said)[0]


def mesh_target(at: datetime) -> Target:
    trust.ensure_authority(at=at)
    trust.ensure_keys(at=at)
    spiffe = "spiffe://shop.test/ns/sallyport/sa"
    return Target.objects.create(
        slug="mesh",
        name="Shop mesh",
        driver="nginx",
        point="mesh",
        environment=access.environment(),
        config={
            "ingress_port": 8443,
            "ingress_workload": f"{spiffe}/ingress",
            "edge_workload": f"{spiffe}/edge",
            "edge": "shop",
        },
        created_at=at,
    )


def revise(target: Target, number: int, at: datetime) -> Revision:
    made = Revision.objects.create(
        target=target, number=number, digest=f"{number:064x}", summary="Ada may read.", created_at=at
    )
    Activation.objects.create(
        target=target, revision=made, state="superseded", created_at=at, events=[{"text": "Published."}]
    )
    Target.objects.filter(pk=target.pk).update(latest_number=number, active_number=number)
    return made


def call(
    who: Subject,
    *,
    at: datetime,
    verdict: str = "deny",
    reason: str = "no_grant",
    grants: Sequence[str] = (),
    rids: Iterable[str] = (),
    actor: str = "",
    variant: str = "",
    rules: Sequence[str] = (),
    point: str = "edge",
    status: int | None = None,
) -> str:
    """At the edge, refused unless told otherwise; returns the request id of the last."""
    token = telemetry.register_source(name=point, actor=SYSTEM, at=at)
    names = list(rids) or [uuid4().hex]
    lines = [
        json.dumps(
            {
                "ts": at.timestamp(),
                "rid": rid,
                "point": point,
                "node": "edge-1",
                "verdict": verdict,
                "reason": reason,
                "subject": who.key,
                "actor": actor,
                "service": "payments",
                "method": "POST",
                "path": "/refunds",
                "host": "api.shop.localhost",
                "status": status or (200 if verdict == "allow" else 403),
                "grants": list(grants),
                "variant": variant,
                "rules": list(rules),
                "ms": 2.5,
                "probe": False,
            }
        )
        for rid in names
    ]
    telemetry.ingest(token=token, body="\n".join(lines).encode(), at=at)
    return names[-1]
