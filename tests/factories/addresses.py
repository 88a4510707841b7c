"""Outside parties, guarded hosts, and what they ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.access import services
from apps.access.models import AccessRequest, Grant, GuardedHost
from apps.audit.actors import SYSTEM
from apps.identity import services as identities
from apps.identity.models import Subject
from tests.factories import access as factory

HOST = "api.shop.localhost"
DAY = 86_400


def guard(always: str = "", *, host: str = HOST, at: datetime = factory.AT) -> GuardedHost:
    factory.environment()
    return services.guard_host(host=host, always=always, why="Partners only.", actor=SYSTEM, at=at)


def party(sponsor: Subject, team: Subject, name: str = "Acme Logistics", at: datetime = factory.AT) -> Subject:
    return identities.register_party(
        actor=sponsor,
        name=name,
        contact="noc@acme.example",
        purpose="Carries our parcels",
        team_key=team.key,
        at=at,
    )


def ask(sponsor: Subject, who: Subject, addresses: str = "203.0.113.0/28", **given: Any) -> AccessRequest:
    asked: dict[str, Any] = {
        "service_slug": "payments",
        "duration": 3600,
        "reason": "They report deliveries.",
        "at": factory.AT,
        **given,
    }
    return services.open_address_request(actor=sponsor, party=who.key, addresses=addresses, **asked)


def approved(
    shop: factory.Shop, addresses: str = "203.0.113.0/28", *, who: Subject | None = None, **given: Any
) -> Grant:
    """Asked for by Ada, agreed to by the owner and by security."""
    found = who or party(shop.ada, shop.storefront)
    request = ask(shop.ada, found, addresses, **given)
    factory.approve(request, shop.ben, shop.cyd, at=given.get("at", factory.AT))
    return Grant.objects.get(request=request)
