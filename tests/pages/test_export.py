"""The page of an export, its downloads, and the switch for who brings it to Akamai."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from apps.identity.models import Subject
from apps.rollout.models import Target
from apps.rollout.services import compiling, delivering
from tests.factories import edges, pages

Browse = Callable[[Subject], Client]
WISH = {"delivery": "exported", "kv_token_ref": "u-1", "edgeworker_id": "42"}


@pytest.fixture
def edge(house: pages.House) -> Target:
    """With a first revision."""
    at = datetime.now(UTC)
    target = edges.edge_target(at)
    delivering.set_delivery(slug="edge", delivery="exported", kv_token_ref="u-0", actor=house.olga.actor, at=at)
    compiling.prepare(target=Target.objects.select_related("environment").get(slug="edge"), at=at)
    return target


def test_what_can_be_had_is_listed_and_downloaded(house: pages.House, browse: Browse, edge: Target) -> None:
    client = browse(house.olga)
    shown = client.get("/rollout/edge/export/").content.decode()
    assert "edgekv/services/payments.json" in shown
    assert "terraform/edgeworker.tf.json" in shown
    for path in ("/rollout/edge/export.zip", "/rollout/edge/revisions/1/export.zip"):
        answer = client.get(path)
        assert (answer["Content-Type"], answer["Content-Disposition"]) == (
            "application/zip",
            'attachment; filename="edge-1.zip"',
        )
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert "edge/manifest.json" in archive.namelist()
    assert client.get("/rollout/edge/export.zip").content == client.get("/rollout/edge/revisions/1/export.zip").content
    assert "/rollout/edge/revisions/1/export.zip" in client.get("/rollout/edge/revisions/1/").content.decode()


def test_a_whole_revision_is_looked_at_in_eight_statements(
    house: pages.House, browse: Browse, edge: Target, django_assert_num_queries: Any
) -> None:
    Target.objects.filter(slug="edge").update(delivery="direct")
    client = browse(house.olga)
    client.get("/rollout/edge/export/")
    with django_assert_num_queries(8):
        client.get("/rollout/edge/export/")


def test_before_the_first_revision_the_page_says_so(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    shown = browse(house.olga).get("/rollout/edge/export/").content.decode()
    assert "Nothing to export yet" in shown
    assert "Download" not in shown


def test_who_brings_it_there_is_set_by_a_keeper(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    answer = browse(house.olga).post("/rollout/edge/export/", WISH)
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/edge/export/")
    target = Target.objects.get(slug="edge")
    assert (target.delivery, target.facts["kv_token_ref"], target.facts["edgeworker_id"]) == ("exported", "u-1", 42)
    shown = browse(house.olga).get("/rollout/edge/").content.decode()
    assert "/rollout/edge/connect" not in shown
    assert "/rollout/edge/export/" in shown


def test_a_mistake_is_named_and_what_was_typed_stays(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    answer = browse(house.olga).post("/rollout/edge/export/", {**WISH, "kv_token_ref": "not a reference"})
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "Write the reference of the EdgeKV access token" in shown
    assert 'value="not a reference"' in shown
    assert Target.objects.get(slug="edge").delivery == "direct"


def test_whoever_only_watches_may_read_and_not_set(house: pages.House, browse: Browse, edge: Target) -> None:
    cyd = browse(house.shop.cyd)
    shown = cyd.get("/rollout/edge/export/").content.decode()
    assert 'name="kv_token_ref"' not in shown
    assert cyd.get("/rollout/edge/export.zip").status_code == 200
    cyd.post("/rollout/edge/export/", WISH)
    assert Target.objects.get(slug="edge").facts["kv_token_ref"] == "u-0"


def test_a_mesh_is_not_exported(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    for path in ("export/", "export.zip", "revisions/1/export.zip"):
        assert client.get(f"/rollout/mesh/{path}").status_code == 404
