"""A directory that tells us who left: its provider row, its people, and hands that send as Okta and others do."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.test import Client
from joserfc import jwt

from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity import services
from apps.identity.models import Provider, ReceivedSignal, Subject
from apps.outbox import services as outbox
from tests.factories import identity
from tests.identity.providers.provider import CLIENT_ID
from tests.identity.providers.provider import Provider as Directory

SLUG = "okta"
HOOK = f"/signals/{SLUG}/okta-events"
REVOKE = f"/signals/{SLUG}/global-token-revocation"
PUSH = f"/ssf/events/{SLUG}"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"


def now() -> datetime:
    return datetime.now(UTC)


def known(person: Subject, sub: str, issuer: str) -> Subject:
    """The directory calls ``person`` ``sub``."""
    services.link_login(issuer=issuer, sub=sub, subject_key=person.key, actor=SYSTEM, at=now())
    return person


def signed_in(subject: Subject) -> Client:
    """By the demo's button, as people are."""
    client = Client()
    assert client.post(f"/demo/sign-in/{subject.key}").status_code == 302
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    return bool(client.get("/access/").status_code == 200)


def deliver() -> None:
    while outbox.drain(at=now(), limit=100).handled:
        pass


def recorded(prefix: str = "identity.") -> list[str]:
    return list(Event.objects.filter(action__startswith=prefix).order_by("seq").values_list("action", flat=True))


def log_event(kind: str, sub: str = "00u1", **more: Any) -> dict[str, Any]:
    """As Okta's System Log writes it."""
    return {
        "uuid": str(uuid4()),
        "published": "2026-11-25T10:00:00.000Z",
        "eventType": kind,
        "version": "0",
        "actor": {"id": "00uadmin", "type": "User", "alternateId": "root@shop.test"},
        "target": [{"id": sub, "type": "User", "alternateId": "ada@shop.test", "displayName": "Ada"}],
        "outcome": {"result": "SUCCESS", "reason": None},
        "transaction": {"id": "t1", "type": "WEB", "detail": {}},
        "debugContext": {"debugData": {}},
    } | more


def delivery(*events: Any) -> dict[str, Any]:
    return {
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "eventId": str(uuid4()),
        "eventTime": "2026-11-25T10:00:01.000Z",
        "source": "https://shop.okta.test/api/v1/eventHooks/who1",
        "contentType": "application/json",
        "data": {"events": list(events)},
    }


@dataclass
class World:
    """``directory`` signs; ``row`` is how we know it; Ada is 00u1 there."""

    directory: Directory
    row: Provider
    ada: Subject
    secret: str
    client: Client = field(default_factory=Client)

    def hook(self, *events: Any, secret: str | None = None, body: Any = None) -> Any:
        headers = {"Authorization": self.secret if secret is None else secret}
        sent = body if isinstance(body, bytes) else json.dumps(delivery(*events) if body is None else body)
        return self.client.post(HOOK, sent, content_type="application/json", headers=headers)

    def sign(self, typ: str, claims: dict[str, Any], **header: Any) -> str:
        """None takes a claim away."""
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": "k1", "typ": typ} | header, said, self.directory.key)

    def revocation_token(self, **claims: Any) -> str:
        at = int(time.time())
        honest = {
            "jti": str(uuid4()),
            "iss": self.directory.issuer,
            "sub": CLIENT_ID,
            "aud": f"{settings.SALLYPORT_URL}{REVOKE}",
            "exp": at + 300,
            "nbf": at - 300,
            "iat": at,
        }
        return self.sign("global-token-revocation+jwt", honest | claims)

    def revoke(self, body: Any = None, *, token: str | None = None, **claims: Any) -> Any:
        named = {"sub_id": {"format": "iss_sub", "iss": self.directory.issuer, "sub": "00u1"}}
        shown = self.revocation_token(**claims) if token is None else token
        sent = body if isinstance(body, bytes) else json.dumps(named if body is None else body)
        headers = {"Authorization": f"Bearer {shown}"}
        return self.client.post(REVOKE, sent, content_type="application/json", headers=headers)

    def listen(self, issuer: str | None = None) -> None:
        """Take its Shared Signals."""
        services.set_signal_source(
            provider_slug=SLUG,
            issuer=issuer or self.directory.issuer,
            jwks_uri=f"{self.directory.issuer}/keys",
            audience="https://sallyport.shop.test",
            actor=SYSTEM,
            at=now(),
        )

    def set_token(self, events: dict[str, Any], *, typ: str = "secevent+jwt", **claims: Any) -> str:
        honest = {
            "iss": self.directory.issuer,
            "jti": str(uuid4()),
            "iat": int(time.time()),
            "aud": "https://sallyport.shop.test",
            "sub_id": {"format": "iss_sub", "iss": self.directory.issuer, "sub": "00u1"},
            "events": events,
        }
        return self.sign(typ, honest | claims)

    def push(self, token: str | bytes) -> Any:
        return self.client.post(PUSH, token, content_type="application/secevent+jwt")

    def signal(self) -> ReceivedSignal:
        return ReceivedSignal.objects.latest("pk")


def world(directory: Directory) -> World:
    row = identity.provider(SLUG, issuer=directory.issuer, client_id=CLIENT_ID)
    ada = known(identity.person("ada"), "00u1", directory.issuer)
    issued = services.issue_hook_secret(provider_slug=SLUG, actor=SYSTEM, at=now())
    return World(directory, row, ada, issued.plain)
