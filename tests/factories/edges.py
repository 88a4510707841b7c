"""An edge at Akamai with all that its pages show."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from apps.catalog.models import Environment
from apps.identity import vault
from apps.rollout.models import (
    AddressList,
    EdgeStream,
    OriginCertificate,
    Preflight,
    PropertyChange,
    Target,
)
from apps.rollout.services.akamai import streaming
from tests.factories import access


def edge_target(at: datetime, slug: str = "edge") -> Target:
    """At Akamai, connected, and looked at once; made when it is not there."""
    secret = {"client_token": "akab-client", "client_secret": "s=", "access_token": "akab-access", "salt": "00"}
    target, made = Target.objects.get_or_create(
        slug=slug,
        defaults={
            "name": "Shop edge",
            "driver": "akamai",
            "point": "edge",
            "environment": access.environment() if slug == "edge" else another_environment(slug),
            "config": {"base_url": "http://127.0.0.1:1", "group_id": 1, "resource_tier_id": 200},
            "secret_sealed": vault.seal(json.dumps(secret).encode()),
            "created_at": at,
        },
    )
    if made:
        look(target, at)
    return target


def address_list(at: datetime) -> AddressList:
    """In front of a guarded host at the edge, with an entry nobody here made."""
    made, _ = AddressList.objects.get_or_create(
        target=edge_target(at),
        host="api.shop.localhost",
        defaults={
            "product": "client",
            "list_id": "1001_SHOP",
            "version": 3,
            "staging": "ACTIVE",
            "staging_version": 3,
            "production": "ACTIVE",
            "production_version": 3,
            "entries": [{"value": "203.0.113.0/28", "ends_at": None, "grants": ["g_1"]}],
            "strange": [{"value": "198.51.100.7", "what": "Nobody here put this on the list."}],
            "settled": "0" * 64,
            "settled_at": at,
            "retry_at": at,
            "created_at": at,
        },
    )
    return made


def another_environment(slug: str) -> Environment:
    """Beside the usual one: each has one edge."""
    return Environment.objects.get_or_create(slug=slug, defaults={"name": slug.title(), "is_default": False})[0]


def property_change(at: datetime, state: str = "planned") -> PropertyChange:
    """Of the edge, waiting for a person."""
    target = edge_target(at)
    return PropertyChange.objects.filter(target=target, state=state).first() or PropertyChange.objects.create(
        target=target,
        hostname="api.shop.test",
        email="ops@shop.test",
        state=state,
        found={"name": "shop", "staging": 3, "production": 3},
        base_etag="e1",
        diff='--- before\n+++ after\n@@ -1 +1 @@\n+"name": "Sallyport access"',
        version=4 if state == "warned" else None,
        warnings=[{"id": "msg_1", "text": "The origin is not verified.", "place": "#/rules"}],
        events=[{"text": "shop version 3 would change."}],
        asked_by="Olga",
        asked_at=at,
        retry_at=at,
    )


def edge_stream(at: datetime, *, secrets: int = 1, slug: str = "edge") -> EdgeStream:
    """Of the edge, delivering for two hours."""
    stream, _ = EdgeStream.objects.get_or_create(
        target=edge_target(at, slug),
        defaults={
            "hostname": "api.shop.test",
            "email": "ops@shop.test",
            "address": "http://127.0.0.1:8000",
            "stream_id": 7,
            "status": "ACTIVATED",
            "found": {"name": f"sallyport-{slug}", "version": 1, "properties": [1]},
            "active_since": at - timedelta(hours=2),
            "asked_by": "Olga",
            "asked_at": at,
            "retry_at": at,
        },
    )
    while len(streaming.believed(stream)) < secrets:
        key = streaming.make_key(stream, at)
        key.active_at = at
        key.save()
    return stream


def origin_certificate(at: datetime) -> OriginCertificate:
    """Of the edge: one version in use, the next one being spread."""
    target = edge_target(at)
    until = (at + timedelta(days=25)).isoformat()
    return OriginCertificate.objects.filter(target=target).first() or OriginCertificate.objects.create(
        target=target,
        hostname="api.shop.test",
        email="ops@shop.test",
        certificate_id=2,
        versions=[
            {"number": 2, "guid": "g2", "status": "DEPLOYMENT_PENDING", "expires_at": until},
            {"number": 1, "guid": "g1", "status": "DEPLOYED", "expires_at": until},
        ],
        deployed_guid="g1",
        deployed_until=at + timedelta(days=25),
        bound_guid="g1",
        bound_at=at,
        planned_guid="g1",
        asked_by="Olga",
        asked_at=at,
        retry_at=at,
    )


def look(target: Target, at: datetime) -> Preflight:
    """A finished preflight that found every kind of verdict."""
    verdicts = [("Activate", "missing", True), ("Write items", "granted", True), ("Client lists", "unknown", False)]
    return Preflight.objects.create(
        target=target,
        asked_at=at,
        asked_by="Olga",
        started_at=at,
        finished_at=at,
        asked=12,
        answered=12,
        findings=[
            {
                "area": "EdgeWorkers",
                "name": name,
                "verdict": verdict,
                "said": "Group 1 lacks ACTIVATE.",
                "without": "New code never reaches the edge.",
                "needed": needed,
            }
            for name, verdict, needed in verdicts
        ],
    )
