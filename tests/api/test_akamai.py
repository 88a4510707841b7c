"""/targets/{slug}/connection/ and /targets/{slug}/preflight/."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.rollout.models import Preflight, Target
from apps.rollout.surroundings import secret_of
from tests.api.calling import Caller, refused
from tests.factories import edges, identity
from tests.factories.access import Shop
from tests.rollout.akamai.answers import answering

pytestmark = pytest.mark.django_db
SECRET = "fresh-secret="


@pytest.fixture
def olga(there: Shop) -> Caller:
    edges.edge_target(datetime.now(UTC))
    return Caller(identity.person("olga", roles=("operator",)))


def edgerc(host: str) -> str:
    return f"[default]\nhost={host}\nclient_token=akab-c\nclient_secret={SECRET}\naccess_token=akab-a\n"


def test_a_credential_goes_in_and_never_comes_out(olga: Caller) -> None:
    with answering({"/edgeworkers/v1/groups": (200, {"groups": []})}) as akamai:
        Target.objects.update(config={"base_url": akamai.address, "group_id": 1, "resource_tier_id": 200})
        host = akamai.address.partition("://")[2]
        answer = olga.post("targets/edge/connection/", {"edgerc": edgerc(host), "account_switch_key": "A-1"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["host"], told["account_switch_key"]) == (host, "A-1")
    assert told["connected_from"] == "an .edgerc file, section default"
    assert olga.get("targets/edge/connection/").json() == told
    assert SECRET not in answer.content.decode()
    assert secret_of(Target.objects.get())["client_secret"] == SECRET


def test_refusals_say_why(olga: Caller) -> None:
    answer = olga.post("targets/edge/connection/", {"edgerc": "[default]\nhost"})
    assert refused(answer) == (422, "bad_edgerc")
    assert answer.json()["fields"] == {"edgerc": ["Line 2: expected [section] or name = value."]}
    answer = olga.post("targets/edge/connection/", {"edgerc": edgerc("127.0.0.1:1")})
    assert refused(answer) == (422, "credential_refused")
    assert refused(olga.post("targets/edge/connection/", {"edgerc": edgerc("evil.test")})) == (
        422,
        "credential_refused",
    )
    assert refused(olga.post("targets/none/connection/", {"edgerc": edgerc("evil.test")})) == (404, "unknown_target")


def test_a_look_is_asked_for_once_and_read_later(olga: Caller) -> None:
    answer = olga.post("targets/edge/preflight/")
    assert answer.status_code == 202
    assert (answer.json()["answered"], answer.json()["asked"]) == (0, 13)
    assert refused(olga.post("targets/edge/preflight/")) == (409, "preflight_under_way")
    Preflight.objects.all().delete()
    assert refused(olga.get("targets/edge/preflight/")) == (404, "no_preflight")


def test_those_who_only_watch_may_read(there: Shop, olga: Caller) -> None:
    cyd = Caller(there.cyd)
    assert cyd.get("targets/edge/preflight/").json()["findings"][0]["verdict"] == "missing"
    assert refused(cyd.post("targets/edge/preflight/")) == (403, "role_needed")
    assert refused(cyd.post("targets/edge/connection/", {"edgerc": ""})) == (403, "role_needed")
