"""The pages of a target's account at Akamai: its credential goes in and never comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.identity.models import Subject
from apps.rollout.models import Preflight, Target
from apps.rollout.surroundings import secret_of
from tests.factories import edges, pages
from tests.rollout.akamai.answers import Answers, answering

Browse = Callable[[Subject], Client]
SECRETS = ("akab-fresh-client", "fresh-secret=", "akab-fresh-access")


def edgerc(host: str) -> str:
    client, secret, access = SECRETS
    return f"[prod]\nhost = {host}\nclient_token = {client}\nclient_secret = {secret}\naccess_token = {access}\n"


@pytest.fixture
def akamai(house: pages.House) -> Iterator[Answers]:
    with answering({"/edgeworkers/v1/groups": (200, {"groups": []})}) as answers:
        target = edges.edge_target(datetime.now(UTC))
        target.config["base_url"] = answers.address
        target.save()
        yield answers


def typed(akamai: Answers, **more: object) -> dict[str, object]:
    host = akamai.address.partition("://")[2]
    return {"source": "paste", "edgerc": edgerc(host), "section": "prod", "account_switch_key": "A-1:A-2", **more}


def stored() -> str:
    return secret_of(Target.objects.get(slug="edge"))["client_secret"]


def test_a_pasted_credential_is_tried_and_kept(house: pages.House, browse: Browse, akamai: Answers) -> None:
    client = browse(house.olga)
    answer = client.post("/rollout/edge/connect", typed(akamai))
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/edge/preflight/")
    assert stored() == "fresh-secret="
    for path in ("/rollout/edge/connect", "/rollout/edge/preflight/", "/rollout/edge/", "/audit/"):
        shown = client.get(path).content.decode()
        assert all(secret not in shown for secret in SECRETS), path
    assert "A-1:A-2" in client.get("/rollout/edge/connect").content.decode()


def test_a_file_does_as_well(house: pages.House, browse: Browse, akamai: Answers) -> None:
    file = SimpleUploadedFile(".edgerc", typed(akamai)["edgerc"].encode())  # type: ignore[attr-defined]  # it is a text
    answer = browse(house.olga).post("/rollout/edge/connect", typed(akamai, source="file", edgerc="", file=file))
    assert (answer.status_code, stored()) == (302, "fresh-secret=")


def test_what_was_typed_stays_but_for_the_secret(house: pages.House, browse: Browse, akamai: Answers) -> None:
    akamai.by_path["/edgeworkers/v1/groups"] = (401, {"detail": "expired"})
    answer = browse(house.olga).post("/rollout/edge/connect", typed(akamai))
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "Akamai does not accept the credential" in shown
    assert 'value="prod"' in shown
    assert 'value="A-1:A-2"' in shown
    assert all(secret not in shown for secret in SECRETS)
    assert stored() == "s="


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edgerc": "[prod]\nhost"}, "Line 2: expected [section] or name = value."),
        ({"section": "nowhere"}, "There is no section [nowhere]. The file&#x27;s sections: prod."),
        ({"source": "file"}, "Choose the file."),
        ({"source": "environment", "section": "nobody"}, "lacks AKAMAI_NOBODY_HOST"),
        ({"account_switch_key": "no good"}, "An account switch key has letters"),
    ],
)
def test_a_mistake_is_named(
    house: pages.House, browse: Browse, akamai: Answers, change: dict[str, str], words: str
) -> None:
    answer = browse(house.olga).post("/rollout/edge/connect", typed(akamai, **change))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert (stored(), akamai.seen) == ("s=", [])


def test_the_environment_of_the_console_will_do(
    house: pages.House, browse: Browse, akamai: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("HOST", "CLIENT_TOKEN", "CLIENT_SECRET", "ACCESS_TOKEN")
    for name, value in zip(names, (akamai.address.partition("://")[2], *SECRETS), strict=True):
        monkeypatch.setenv(f"AKAMAI_{name}", value)
    wish = typed(akamai, source="environment", edgerc="", section="default")
    answer = browse(house.olga).post("/rollout/edge/connect", wish)
    assert (answer.status_code, stored()) == (302, "fresh-secret=")


def test_only_who_keeps_targets_may_connect_or_look(house: pages.House, browse: Browse, akamai: Answers) -> None:
    cyd = browse(house.shop.cyd)
    assert cyd.get("/rollout/edge/preflight/").status_code == 200
    before = Preflight.objects.count()
    for path, data in (("/rollout/edge/connect", typed(akamai)), ("/rollout/edge/preflight/", {})):
        cyd.post(path, data)
    assert (stored(), Preflight.objects.count()) == ("s=", before)


def test_a_mesh_has_no_such_page(house: pages.House, browse: Browse) -> None:
    client = browse(house.olga)
    for path in ("connect", "preflight/", "preflight/events"):
        assert client.get(f"/rollout/mesh/{path}").status_code == 404


def test_the_page_says_what_is_missing_and_what_breaks(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    shown = browse(house.olga).get("/rollout/edge/preflight/").content.decode()
    assert "1 thing we need is not granted" in shown
    assert "Without it: New code never reaches the edge." in shown
    assert shown.count("Could not be asked") == 1


def test_looking_again_asks_a_worker_and_says_how_far_it_is(house: pages.House, browse: Browse) -> None:
    edges.edge_target(datetime.now(UTC))
    client = browse(house.olga)
    assert client.post("/rollout/edge/preflight/").status_code == 302
    assert "Akamai is being asked: 0 of 13 answered" in client.get("/rollout/edge/preflight/").content.decode()
    Preflight.objects.filter(finished_at=None).update(answered=5)
    part = client.get("/rollout/edge/preflight/", headers={"HX-Request": "true", "HX-Target": "moving"})
    assert "5 of 13" in part.content.decode()
    assert "<html" not in part.content.decode()


def newcomer(akamai: Answers, **more: object) -> dict[str, object]:
    said = {"name": "Partners' edge", "slug": "partners", "environment": "elsewhere", "resource_tier_id": "200"}
    return typed(akamai, **{**said, "namespace": "partners", "makes_namespace": "on", **more})


@pytest.fixture
def account(akamai: Answers) -> Answers:
    """An account with two groups and an environment that has no edge yet."""
    groups = [{"groupId": 11, "groupName": "Shop"}, {"groupId": 12, "groupName": "Partners"}]
    akamai.by_path["/edgeworkers/v1/groups"] = (200, {"groups": groups})
    akamai.by_path["/edgeworkers/v1/contracts"] = (200, {"contractIds": ["C-1", "C-2"]})
    akamai.by_path["/edgeworkers/v1/ids"] = (200, {"edgeWorkerIds": []})
    edges.another_environment("elsewhere")
    return akamai


def test_an_edge_is_added_with_what_it_takes_over(house: pages.House, browse: Browse, account: Answers) -> None:
    client = browse(house.olga)
    account.by_path["/edgeworkers/v1/ids/77"] = (200, {"name": "theirs"})
    account.by_path["/edgeworkers/v1/ids/77/activations"] = (200, {"activations": [{"version": "9"}]})
    given = newcomer(account, group_id="12", contract_id="C-2", edgeworker_id="77", probe_url="api.shop.edgekey.test")
    assert 'href="/rollout/add/edge"' in client.get("/rollout/").content.decode()
    assert "Add an edge at Akamai" in client.get("/rollout/add/edge").content.decode()
    refused = client.post("/rollout/add/edge", given)
    assert refused.status_code == 422
    assert "Version 9 runs on theirs now. Say that it may be replaced." in refused.content.decode()
    answer = client.post("/rollout/add/edge", {**given, "replaces": "on"})
    assert (answer.status_code, answer["Location"]) == (302, "/rollout/partners/preflight/")
    made = Target.objects.get(slug="partners")
    assert (made.driver, made.point, made.environment.slug) == ("akamai", "edge", "elsewhere")
    assert (made.config["group_id"], made.config["edgeworker_id"], made.config["namespace"]) == (12, 77, "partners")
    assert (made.config["contract_id"], made.config["probe_url"]) == ("C-2", "api.shop.edgekey.test")
    assert (made.config["base_url"], secret_of(made)["client_secret"]) == (account.address, "fresh-secret=")
    assert made.pending.exists()
    assert all(secret not in client.get("/audit/").content.decode() for secret in SECRETS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slug": "edge"}, "There is a target of this short name already."),
        ({"environment": "demo"}, "Shop edge is the edge of"),
        ({}, "Choose one of the groups Akamai shows this API client: 11 (Shop), 12 (Partners)."),
        ({"group_id": "13"}, "Choose one of the groups Akamai shows this API client: 11 (Shop), 12 (Partners)."),
        ({"group_id": "12", "edgeworker_id": "5"}, "Akamai knows no EdgeWorker 5"),
        ({"group_id": "12", "namespace": "no blanks"}, "A namespace has 1 to 32"),
        ({"group_id": "12", "section": "nowhere"}, "There is no section [nowhere]."),
        ({"group_id": "12", "contract_id": "C-9"}, "EdgeWorkers is not on this contract. It is on: C-1, C-2."),
        ({"group_id": "12", "probe_url": "http://169.254.169.254"}, "Write a host that stands for the edge"),
    ],
)
def test_an_edge_that_cannot_be_leaves_nothing(
    house: pages.House, browse: Browse, account: Answers, change: dict[str, str], words: str
) -> None:
    answer = browse(house.olga).post("/rollout/add/edge", newcomer(account, **change))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Target.objects.filter(slug="partners").exists()


def test_an_edgeworker_of_its_name_is_not_taken_over_unasked(
    house: pages.House, browse: Browse, account: Answers
) -> None:
    """Another console of the same account may have an edge of this short name."""
    row = {"edgeWorkerId": 5, "name": "sallyport-partners", "groupId": 12}
    account.by_path["/edgeworkers/v1/ids"] = (200, {"edgeWorkerIds": [row]})
    account.by_path["/edgeworkers/v1/ids/5"] = (200, row)
    account.by_path["/edgeworkers/v1/ids/5/activations"] = (200, {"activations": [{"version": "9"}]})
    client, given = browse(house.olga), newcomer(account, group_id="12")
    refused = client.post("/rollout/add/edge", given)
    assert refused.status_code == 422
    assert "Version 9 runs on sallyport-partners now." in refused.content.decode()
    assert client.post("/rollout/add/edge", {**given, "replaces": "on"}).status_code == 302


def test_only_who_keeps_targets_may_add_an_edge(house: pages.House, browse: Browse) -> None:
    assert browse(house.shop.cyd).get("/rollout/add/edge").status_code == 403


def test_a_chosen_file_is_read_where_nothing_was_pasted(house: pages.House, browse: Browse, akamai: Answers) -> None:
    file = SimpleUploadedFile(".edgerc", str(typed(akamai)["edgerc"]).encode())
    answer = browse(house.olga).post("/rollout/edge/connect", typed(akamai, edgerc="", file=file))
    assert (answer.status_code, stored()) == (302, "fresh-secret=")
