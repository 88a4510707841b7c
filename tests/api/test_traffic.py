"""/requests/ with a treatment: traffic rules over the API."""

from __future__ import annotations

import pytest

from apps.access import services
from apps.catalog.models import Exposure
from tests.api.calling import Caller, refused
from tests.factories.access import AT, HOUR, Shop

RULE = {
    "service": "payments",
    "routes": ["list"],
    "duration": HOUR,
    "reason": "A first share.",
    "treatment": {"variant": "v2", "everybody": True, "percent": 10},
}


@pytest.fixture
def there(there: Shop) -> Shop:
    Exposure.objects.filter(service=there.service, point="mesh").update(variants=["v2:9301", "v3:9302"])
    return there


def test_a_rule_is_asked_for_and_told_with_what_it_does(there: Shop) -> None:
    answer = Caller(there.ben).post("requests/", RULE)
    assert answer.status_code == 201
    body = answer.json()
    assert body["treatment"] == {
        "everybody": True,
        "percent": 10,
        "variant": "v2",
        "set_headers": {},
        "remove_headers": [],
        "calls_per_minute": None,
        "breaker": None,
    }
    assert (body["subject"]["key"], body["points"]) == (there.payments_team.key, ["edge", "mesh"])
    assert Caller(there.bea).post(f"requests/{body['id']}/review/", {"verdict": "approve"}).status_code == 200
    grant = Caller(there.ben).get(f"requests/{body['id']}/").json()["grant"]
    assert (grant["state"], grant["treatment"]) == ("pending", body["treatment"])
    ended = Caller(there.bea).post(f"grants/{grant['id']}/end/", {"why": "Enough."})
    assert ended.json()["state"] == "handed_back", "its owners are those it is asked by"


def test_an_ask_for_access_has_no_treatment(there: Shop) -> None:
    asked = {name: value for name, value in RULE.items() if name != "treatment"}
    assert Caller(there.ada).post("requests/", asked).json()["treatment"] is None


def test_a_contradiction_is_a_problem_that_tells_both(there: Shop) -> None:
    first = Caller(there.ben).post("requests/", RULE).json()["id"]
    other = {**RULE, "subject": there.ben.key, "treatment": {"variant": "v3"}}
    answer = Caller(there.ben).post("requests/", other)
    assert refused(answer) == (409, "traffic_conflict")
    told = answer.json()
    assert told["asked"] == "calls of Ben to GET /payments on Payments go to v3"
    assert told["other"] == "calls of 10 % of all callers to GET /payments on Payments go to v2"
    assert (told["request"], told["in_force"]) == (first, False)
    assert told["differences"] == ["one sends to v3, the other to v2"]


def test_what_makes_no_sense_is_told_by_field(there: Shop) -> None:
    answer = Caller(there.ben).post("requests/", {**RULE, "treatment": {"set_headers": {"Cookie": "x"}}})
    assert refused(answer) == (422, "bad_treatment")
    assert list(answer.json()["fields"]) == ["set_headers"]
    too_much = {**RULE, "treatment": {"variant": "v2", "percent": 101}}
    assert Caller(there.ben).post("requests/", too_much).status_code in (400, 422)


def test_a_breaker_is_asked_for_whole_and_by_the_owners_for_everybody(there: Shop) -> None:
    wish = {"everybody": True, "breaker": {"errors": 5, "seconds": 30}}
    told = Caller(there.ben).post("requests/", {**RULE, "treatment": wish}).json()
    assert told["treatment"]["breaker"] == {"errors": 5, "seconds": 30}
    for half in ({"errors": 5}, {"errors": 0, "seconds": 30}, {"errors": 5, "seconds": 601}):
        answer = Caller(there.ben).post("requests/", {**RULE, "treatment": {"breaker": half}})
        assert answer.status_code in (400, 422)


def test_an_agent_asks_for_itself_alone(there: Shop) -> None:
    own = {**RULE, "treatment": {"calls_per_minute": 5}}
    assert Caller(there.bot).post("requests/", own).json()["subject"]["key"] == there.bot.key
    assert refused(Caller(there.bot).post("requests/", RULE)) == (403, "not_your_traffic")


def test_a_preview_names_what_would_change(there: Shop) -> None:
    shown = Caller(there.ben).post("preview/", {name: RULE[name] for name in RULE if name != "reason"}).json()
    assert shown["can_be_sent"] is True
    assert shown["changes"][0].startswith("From now on calls of 10 % of all callers to GET /payments on Payments go")
    assert shown["already"] == []


def test_decide_does_not_take_a_rule_for_access(there: Shop) -> None:
    request = Caller(there.ben).post("requests/", {**RULE, "treatment": {"variant": "v2"}}).json()
    Caller(there.bea).post(f"requests/{request['id']}/review/", {"verdict": "approve"})
    grant = Caller(there.ben).get(f"requests/{request['id']}/").json()["grant"]
    services.activate(grant_id=grant["id"], at=AT)
    asked = {"service": "payments", "method": "GET", "path": "/payments", "point": "edge"}
    assert Caller(there.ben).post("decide/", asked).json()["allowed"] is False
