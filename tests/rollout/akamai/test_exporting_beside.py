"""What of a target's lists, log and client certificate goes into its export, and that nobody at the vendor is asked."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.audit.actors import SYSTEM
from apps.audit.errors import InvalidInput
from apps.audit.models import Event
from apps.identity import vault
from apps.rollout.exports.tree import Export
from apps.rollout.models import AddressList, EdgeStream, OriginCertificate, PropertyChange, Target
from apps.rollout.services import compiling, delivering, exporting
from apps.rollout.services.akamai import streaming
from tests.factories import access as factory
from tests.factories import addresses
from tests.rollout.world import edge_spec, make_target

pytestmark = pytest.mark.django_db

AT = factory.AT
HOST = addresses.HOST
LIST = f"address-lists/{HOST}.json"
PROPERTY = {"id": "prp_55", "name": "shop", "contract_id": "ctr_C-7", "group_id": "grp_8", "latest": 4}


@pytest.fixture
def shop() -> factory.Shop:
    return factory.shop()


@pytest.fixture
def edge(shop: factory.Shop) -> Target:
    """With a first revision. Nothing answers at its address."""
    make_target(edge_spec(), AT)
    Target.objects.update(facts={"kv_token_ref": "u-1", "edgeworker_id": 42})
    compiling.prepare(target=Target.objects.select_related("environment").get(), at=AT)
    return Target.objects.get()


def exported() -> Export:
    return exporting.export_of(slug="edge", at=AT)


def body(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exported().files[path])
    return found


def listed(edge: Target, product: str = "client") -> AddressList:
    addresses.guard("192.0.2.0/24")
    return AddressList.objects.create(
        target=edge, host=HOST, product=product, list_id="1_A", retry_at=AT, created_at=AT
    )


def with_stream(edge: Target, **more: Any) -> EdgeStream:
    given = {
        "stream_id": 77,
        "found": {"name": "sallyport-edge", "version": 1, "properties": [55]},
        "email": "ops@shop.test",
        "address": "https://console.test",
        "hostname": HOST,
        **more,
    }
    stream = EdgeStream.objects.create(target=edge, retry_at=AT, asked_by="Olga", asked_at=AT, **given)
    streaming.make_key(stream, AT)
    return stream


def with_certificate(edge: Target) -> OriginCertificate:
    return OriginCertificate.objects.create(
        target=edge,
        hostname=HOST,
        email="ops@shop.test",
        certificate_id=9,
        versions=[{"number": 4, "guid": "g4"}, {"number": 3, "guid": "g3"}],
        deployed_guid="g4",
        retry_at=AT,
        asked_by="Olga",
        asked_at=AT,
    )


def compared(edge: Target) -> None:
    PropertyChange.objects.create(
        target=edge,
        hostname=HOST,
        email="ops@shop.test",
        state="done",
        found={**PROPERTY, "staging": 4, "production": 4},
        retry_at=AT,
        asked_by="Olga",
        asked_at=AT,
    )


def test_an_approved_address_is_in_the_list_before_anybody_brought_it(edge: Target, shop: factory.Shop) -> None:
    row = listed(edge)
    assert [one["value"] for one in body(LIST)["items"]] == ["192.0.2.0/24"]
    grant = addresses.approved(shop)
    found = {one["value"]: one["description"] for one in body(LIST)["items"]}
    assert found == {"192.0.2.0/24": "Always (edge)", "203.0.113.0/28": f"Sallyport {grant.public_id}"}
    assert row.entries == []


def test_a_list_that_was_never_made_or_guards_nothing_any_more_is_not_in_it(edge: Target) -> None:
    listed(edge)
    AddressList.objects.update(list_id="")
    assert LIST not in exported().files
    AddressList.objects.update(list_id="1_A", host="other.test")
    assert not [path for path in exported().files if path.startswith("address-lists/")]


def test_the_kind_of_list_is_the_one_the_account_has(edge: Target) -> None:
    listed(edge, "network")
    assert body(LIST)["list"] == ["192.0.2.0/24"]
    assert body(f"address-lists/{HOST}.ends.json") == {"192.0.2.0/24": "never"}
    assert "akamai_networklist_network_list" in body("terraform/address_lists.tf.json")["resource"]


def test_where_a_team_applies_it_there_are_no_lists(edge: Target) -> None:
    listed(edge)
    Target.objects.update(delivery="exported")
    with_certificate(edge)
    found = exported().files
    assert LIST not in found
    assert "client-certificate/certificate.json" in found


def test_log_and_certificate_have_the_contract_and_group_of_their_property(edge: Target) -> None:
    with_stream(edge)
    with_certificate(edge)
    before = body("datastream/stream.json")
    assert (before["contractId"], before["groupId"], before["properties"]) == ("", 1, [{"propertyId": 55}])
    assert "contract_id" in body("terraform/variables.tf.json")["variable"]
    compared(edge)
    stream, certificate = body("datastream/stream.json"), body("client-certificate/certificate.json")
    assert (stream["contractId"], stream["groupId"], stream["streamName"]) == ("C-7", 8, "sallyport-edge")
    assert (certificate["contractId"], certificate["groupId"]) == ("C-7", 8)
    assert "contract_id" not in body("terraform/variables.tf.json")["variable"]
    assert {one["id"] for one in body("terraform/imports.tf.json")["import"]} >= {"77", "9,8,C-7"}


@pytest.mark.parametrize("change", [{"wanted": False}, {"stream_id": None}])
def test_a_log_that_should_not_deliver_or_was_never_made_is_not_in_it(edge: Target, change: dict[str, Any]) -> None:
    with_stream(edge, **change)
    assert "datastream/stream.json" not in exported().files


def test_its_secret_is_written_only_when_asked_for_and_that_is_recorded(edge: Target, tmp_path: Path) -> None:
    stream = with_stream(edge)
    secret = vault.unseal(streaming.believed(stream)[0].secret_sealed)
    assert [path for path, content in exported().files.items() if secret in content] == []
    call_command("export_target", "edge", str(tmp_path / "repo"), stdout=StringIO())
    assert not Event.objects.filter(action="rollout.stream.secret_exported").exists()
    file = tmp_path / "secret"
    call_command("export_target", "edge", str(tmp_path / "repo"), "--stream-secret", str(file), stdout=StringIO())
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (secret, 0o600)
    event = Event.objects.get(action="rollout.stream.secret_exported")
    assert secret.decode() not in json.dumps([event.before, event.after])


def test_without_a_log_there_is_no_secret(edge: Target, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no log at Akamai"):
        call_command("export_target", "edge", str(tmp_path), "--stream-secret", str(tmp_path / "s"), stdout=StringIO())


def test_an_edge_with_lists_is_still_not_handed_to_a_team(edge: Target) -> None:
    listed(edge)
    with pytest.raises(InvalidInput, match="Stop guarding"):
        delivering.set_delivery(slug="edge", delivery="exported", kv_token_ref="u-1", actor=SYSTEM, at=AT)
