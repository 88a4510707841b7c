"""What an export holds beside code and items: lists of addresses, the log's stream, the client certificate."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from apps.compiler.address_lists import Item
from apps.compiler.addresses import read_block
from apps.rollout.drivers.akamai.keystore import CertificateWish
from apps.rollout.drivers.akamai.lists import Owner, Place
from apps.rollout.drivers.akamai.stream import FIELDS, StreamWish
from apps.rollout.exports.beside import BesideCode, HostList, KeptCertificate, KeptStream
from apps.rollout.exports.tree import Export
from tests.rollout.test_export_files import META, made, resources, strings, terraform_of

NEW_YEAR = 1798761600
ITEMS = (
    Item(read_block("198.51.100.7"), None, ()),
    Item(read_block("203.0.113.0/28"), NEW_YEAR, ("g-1", "g-2")),
)
ENDS = "2027-01-01T00:00:00.000+00:00"
MARK = "Kept by Sallyport for shop.test (edge). Do not edit by hand."


def client_list(*, contract: str = "C-1", live: bool = True) -> HostList:
    return HostList("client", "1_A", Owner("edge", "api.shop.test"), Place(7, contract), ITEMS, live)


def network_list(*, contract: str = "C-1") -> HostList:
    return HostList("network", "2_B", Owner("edge", "shop.test"), Place(7, contract), ITEMS, live=True)


STREAM = KeptStream(
    77,
    StreamWish(
        name="sallyport-edge",
        group_id=8,
        contract_id="C-1",
        property_id=55,
        emails=("ops@shop.test",),
        endpoint="https://console.test/edge-log/edge",
        user="edge",
        password="",
    ),
)
CERTIFICATE = KeptCertificate(9, CertificateWish("sallyport-edge", "C-1", 8, ("ops@shop.test",)), (3, 4))
ALL = BesideCode((client_list(), network_list()), STREAM, CERTIFICATE)

# resource -> the arguments the provider requires and those it allows, by its schemas (pkg/providers of
# akamai/terraform-provider-akamai: clientlists, networklists, datastream, mtlskeystore)
DOCUMENTED: Mapping[str, tuple[set[str], set[str]]] = {
    "akamai_clientlist_list": ({"name", "type", "contract_id", "group_id"}, {"notes", "tags", "items"}),
    "akamai_clientlist_activation": (
        {"list_id", "version", "network"},
        {"comments", "notification_recipients", "siebel_ticket_id"},
    ),
    "akamai_networklist_network_list": (
        {"name", "type", "description", "mode"},
        {"list", "contract_id", "group_id"},
    ),
    "akamai_networklist_activations": (
        {"network_list_id", "notification_emails", "sync_point"},
        {"network", "notes"},
    ),
    "akamai_datastream": (
        {"active", "delivery_configuration", "contract_id", "dataset_fields", "group_id", "properties", "stream_name"},
        {"collect_midgress", "notification_emails", "https_connector"},
    ),
    "akamai_mtlskeystore_client_certificate_third_party": (
        {
            *("certificate_name", "contract_id", "geography", "group_id", "notification_emails"),
            *("secure_network", "versions"),
        },
        {"key_algorithm", "subject"},
    ),
}
CONNECTOR = {
    *("authentication_type", "display_name", "endpoint", "compress_logs", "content_type", "password", "user_name"),
    *("custom_header_name", "custom_header_value", "tls_hostname", "ca_cert", "client_cert", "client_key"),
}
IMPORT_IDS = {
    "akamai_clientlist_list.for_api_shop_test": "1_A",
    "akamai_clientlist_activation.for_api_shop_test_staging": "1_A:STAGING",
    "akamai_clientlist_activation.for_api_shop_test_production": "1_A:PRODUCTION",
    "akamai_networklist_network_list.for_shop_test": "2_B",
    "akamai_datastream.edge": "77",
    "akamai_mtlskeystore_client_certificate_third_party.edge": "9,8,C-1",
}


def whole(beside: BesideCode = ALL) -> Export:
    return made(beside=beside)


def resource(kind: str, name: str, beside: BesideCode = ALL) -> dict[str, Any]:
    found: dict[str, Any] = terraform_of(whole(beside))["resource"][kind][name]
    return found


def body(path: str) -> Any:
    return json.loads(whole().files[path])


def test_every_resource_has_what_the_provider_requires_and_nothing_it_does_not_know() -> None:
    found = [one for one in resources(terraform_of(whole())) if one[0] in DOCUMENTED]
    assert {kind for kind, _, _ in found} == set(DOCUMENTED)
    for kind, name, arguments in found:
        required, optional = DOCUMENTED[kind]
        assert required <= arguments.keys() - META - {"//"} <= required | optional, f"{kind}.{name}"
    assert resource("akamai_datastream", "edge")["https_connector"].keys() <= CONNECTOR


def test_without_them_nothing_is_said_of_them() -> None:
    plain = made()
    assert plain.files == whole(BesideCode()).files
    assert not [path for path in plain.files if re.search("address|datastream|certificate", path)]
    assert terraform_of(plain)["variable"].keys() == {"edgerc", "edgerc_section", "code_bundle"}


def test_a_client_list_says_of_each_entry_for_whom_it_is_and_when_it_ends() -> None:
    found = body("address-lists/api.shop.test.json")
    assert found["items"] == [
        {
            "value": "198.51.100.7",
            "description": "Always (edge)",
            "expirationDate": "",
            "tags": ["sallyport"],
        },
        {
            "value": "203.0.113.0/28",
            "description": "Sallyport g-1, g-2",
            "expirationDate": ENDS,
            "tags": ["sallyport"],
        },
    ]
    assert (found["name"], found["contractId"], found["groupId"]) == ("sallyport-edge-api.shop.test", "C-1", 7)
    written = resource("akamai_clientlist_list", "for_api_shop_test")
    assert [(one["value"], one["expiration_date"]) for one in written["items"]] == [
        ("198.51.100.7", ""),
        ("203.0.113.0/28", ENDS),
    ]
    assert (written["type"], written["contract_id"], written["group_id"]) == ("IP", "C-1", 7)
    assert "address-lists/api.shop.test.ends.json" not in whole().files


def test_what_a_network_list_cannot_say_stands_beside_it_and_is_cautioned_about() -> None:
    assert body("address-lists/shop.test.json") == {
        "name": "sallyport-edge-shop.test",
        "type": "IP",
        "description": MARK,
        "list": ["198.51.100.7", "203.0.113.0/28"],
        "contractId": "C-1",
        "groupId": 7,
    }
    assert body("address-lists/shop.test.ends.json") == {"198.51.100.7": "never", "203.0.113.0/28": ENDS}
    written = resource("akamai_networklist_network_list", "for_shop_test")
    assert written["//"] == [
        "198.51.100.7: until somebody takes it out",
        f"203.0.113.0/28 (g-1, g-2): until {ENDS}",
    ]
    assert (written["mode"], written["list"]) == ("REPLACE", ["198.51.100.7", "203.0.113.0/28"])
    (caution,) = whole().cautions
    assert "do not end by themselves (shop.test)" in caution
    assert whole(BesideCode((client_list(),))).cautions == ()


def test_a_list_goes_live_on_staging_first() -> None:
    assert resource("akamai_clientlist_activation", "for_api_shop_test_production") == {
        "list_id": "${akamai_clientlist_list.for_api_shop_test.list_id}",
        "version": "${akamai_clientlist_list.for_api_shop_test.version}",
        "network": "PRODUCTION",
        "comments": "Sallyport",
        "depends_on": ["akamai_clientlist_activation.for_api_shop_test_staging"],
    }
    assert resource("akamai_networklist_activations", "for_shop_test_staging") == {
        "network_list_id": "${akamai_networklist_network_list.for_shop_test.uniqueid}",
        "sync_point": "${akamai_networklist_network_list.for_shop_test.sync_point}",
        "network": "STAGING",
        "notes": "Sallyport",
        "notification_emails": "${var.notification_emails}",
    }


def test_the_stream_is_the_one_the_console_makes_without_its_secret() -> None:
    found = body("datastream/stream.json")
    assert found["destination"] == {
        "destinationType": "HTTPS",
        "displayName": "sallyport-edge",
        "endpoint": "https://console.test/edge-log/edge",
        "authenticationType": "BASIC",
        "userName": "edge",
        "password": "",
        "compressLogs": True,
        "contentType": "application/json",
    }
    assert (found["groupId"], found["properties"]) == (8, [{"propertyId": 55}])
    written = resource("akamai_datastream", "edge")
    assert written["https_connector"]["password"] == "${var.stream_secret}"
    assert written["delivery_configuration"] == {"format": "JSON", "frequency": {"interval_in_secs": 30}}
    assert (written["dataset_fields"], written["properties"], written["group_id"]) == (list(FIELDS), ["55"], "8")
    secret = terraform_of(whole())["variable"]["stream_secret"]
    assert (secret["sensitive"], "default" in secret) == (True, False)


def test_versions_of_the_certificate_are_left_to_who_signs_them() -> None:
    assert body("client-certificate/certificate.json") == {
        "certificateName": "sallyport-edge",
        "contractId": "C-1",
        "groupId": 8,
        "geography": "CORE",
        "secureNetwork": "STANDARD_TLS",
        "signer": "THIRD_PARTY",
        "keyAlgorithm": "ECDSA",
        "notificationEmails": ["ops@shop.test"],
    }
    written = resource("akamai_mtlskeystore_client_certificate_third_party", "edge")
    assert written["versions"] == {"v3": {}, "v4": {}}
    assert written["lifecycle"] == {"prevent_destroy": True, "ignore_changes": ["versions"]}
    readme = whole().files["README.md"].decode()
    assert "akamai_mtlskeystore_client_certificate_upload" in readme
    assert "An entry of a network list does not" in readme


def test_what_exists_is_taken_over_by_its_documented_id() -> None:
    found = {one["to"]: one["id"] for one in terraform_of(whole())["import"]}
    assert {to: id_ for to, id_ in found.items() if to.partition(".")[0] in DOCUMENTED} == IMPORT_IDS
    waiting = terraform_of(whole(BesideCode((client_list(live=False),))))["import"]
    assert [one["to"] for one in waiting if "clientlist" in one["to"]] == ["akamai_clientlist_list.for_api_shop_test"]


@pytest.mark.parametrize("known", [True, False])
def test_a_contract_nobody_knows_is_asked_for(known: bool) -> None:
    beside = ALL if known else BesideCode((client_list(contract=""),), STREAM, None)
    found = terraform_of(whole(beside))
    assert ("contract_id" in found["variable"]) is not known
    contract = found["resource"]["akamai_clientlist_list"]["for_api_shop_test"]["contract_id"]
    assert contract == ("C-1" if known else "${var.contract_id}")


def test_whatever_is_referred_to_is_there() -> None:
    found = terraform_of(whole())
    there = {f"{kind}.{name}" for kind, name, _ in resources(found)} | {f"var.{name}" for name in found["variable"]}
    said = [text for text in strings(found["resource"]) if text.startswith(("${akamai_", "${var.", "akamai_"))]
    assert len(said) > 10
    for text in said:
        (reference,) = re.findall(r"(akamai_\w+\.\w+|var\.\w+)", text)
        assert reference in there, text
    assert [one["to"] for one in found["import"] if one["to"] not in there] == []


def test_a_changed_entry_changes_a_line_of_its_list() -> None:
    longer = (ITEMS[0], Item(read_block("203.0.113.0/28"), NEW_YEAR + 3600, ("g-1", "g-2")))
    changed = HostList("client", "1_A", Owner("edge", "api.shop.test"), Place(7, "C-1"), longer, live=True)
    before, after = whole(BesideCode((client_list(),))).files, whole(BesideCode((changed,))).files
    assert {path for path in after if after[path] != before[path]} == {
        *("address-lists/api.shop.test.json", "terraform/address_lists.tf.json", "manifest.json", "manifest.jws"),
    }
    path = "address-lists/api.shop.test.json"
    assert len(set(after[path].splitlines()) - set(before[path].splitlines())) == 1
