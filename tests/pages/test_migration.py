"""The way out of NGINX Service Mesh as a page: each service side by side, and who would be shut out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client

from apps.access.selectors import graph_slice
from apps.audit.actors import SYSTEM
from apps.identity.models import Subject
from apps.rollout.cluster.settings import ClusterSettings
from apps.rollout.models import DriverName, Shard, Target
from apps.rollout.services.targets import TargetSpec, ensure_target
from apps.rollout.snapshots import to_json
from apps.telemetry.services import ingest, register_source
from tests.factories import pages

Browse = Callable[[Subject], Client]
CHOSEN = ClusterSettings(("smi",), ("shop",), mtls="strict")


def cluster(chosen: ClusterSettings = CHOSEN) -> Target:
    spec = TargetSpec("east", "East", DriverName.KUBERNETES, chosen.config)
    return ensure_target(spec=spec, actor=SYSTEM, at=datetime.now(UTC))


@pytest.fixture(autouse=True)
def compiled(house: pages.House) -> None:
    """The nodes of the environment's mesh hold what the doors would decide by."""
    at = datetime.now(UTC)
    graph = graph_slice(service_slugs=["payments"], environment_slug=house.target.environment.slug, at=at)
    Shard.objects.create(target=house.target, service="payments", graph=to_json(graph))


def called(who: Subject, at: datetime, times: int, method: str = "POST", path: str = "/refunds") -> None:
    """Calls that came as far as a sidecar."""
    token = register_source(name="node", actor=SYSTEM, at=at)
    told = {
        "ts": at.timestamp(), "point": "sidecar", "node": "node", "verdict": "allow", "reason": "granted",
        "subject": who.key, "service": "payments", "method": method, "path": path, "host": "payments", "status": 200,
        "grants": [], "ms": 2.5, "probe": False,
    }  # fmt: skip
    lines = [json.dumps({**told, "rid": uuid4().hex}) for _ in range(times)]
    ingest(token=token, body="\n".join(lines).encode(), at=at)


def test_each_service_is_shown_side_by_side(house: pages.House, browse: Browse) -> None:
    cluster()
    shown = browse(house.olga).get("/rollout/east/migration/").content.decode()
    assert "NGINX Service Mesh is end of sale" in shown
    for text in ("Who may call which route", "How callers prove who they are", "Lost", "To be done"):
        assert text in shown
    assert "write_handout east DIRECTORY --door SERVICE" in shown
    assert "Nothing was recorded that could be replayed" in shown


def test_a_recorded_call_that_a_door_would_refuse_is_counted_and_named(house: pages.House, browse: Browse) -> None:
    """Ada may read, so the mesh lets the ingress through to read, for Dan as well: nobody asks there who it is."""
    cluster()
    at = datetime.now(UTC)
    called(house.shop.dan, at, 3, "GET", "/payments/7")
    called(house.shop.ada, at, 2, "GET", "/payments/7")
    shown = browse(house.olga).get("/rollout/east/migration/").content.decode()
    assert "3 of 5 recorded calls would be refused" in shown
    assert "person:dan" in shown
    assert "person:ada" not in shown


def test_where_the_ingress_asks_nobody_is_shut_out(house: pages.House, browse: Browse) -> None:
    cluster(replace(CHOSEN, emitters=("nic", "smi"), verifier="shop/verifier:8080"))
    called(house.shop.dan, datetime.now(UTC), 3, "GET", "/payments/7")
    shown = browse(house.olga).get("/rollout/east/migration/").content.decode()
    assert "None of 3 recorded calls would be refused" in shown


def test_a_cluster_without_the_mesh_has_nothing_to_leave(house: pages.House, browse: Browse) -> None:
    cluster(ClusterSettings(("networkpolicy",), ("shop",)))
    shown = browse(house.olga).get("/rollout/east/migration/").content.decode()
    assert "East needs no way out" in shown
    assert "/rollout/east/migration/" not in browse(house.olga).get("/rollout/east/").content.decode()


def test_the_page_is_for_those_who_watch_and_for_clusters(house: pages.House, browse: Browse) -> None:
    cluster()
    assert browse(house.shop.ada).get("/rollout/east/migration/").status_code == 403
    assert browse(house.olga).get("/rollout/mesh/migration/").status_code == 404


def test_it_costs_at_most_eight_queries(
    house: pages.House, browse: Browse, django_assert_max_num_queries: Callable
) -> None:
    cluster()
    called(house.shop.dan, datetime.now(UTC), 20)
    client = browse(house.olga)
    with django_assert_max_num_queries(8):
        client.get("/rollout/east/migration/")
