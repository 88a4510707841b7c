"""/upkeep/ and /map/: the same as on the pages, for programs."""

from __future__ import annotations

from datetime import datetime

from apps.access.models import CleanUp, Grant
from apps.access.services.examining import examine_due
from tests.access.test_clean_ups import standing, twins
from tests.api.calling import Caller, refused
from tests.factories import upkeep
from tests.factories.access import Shop


def test_findings_are_counted_filtered_and_paged(there: Shop, at: datetime) -> None:
    wide, narrow = twins(there, at)
    standing(there.bot, "read", at=at, points=("edge",))
    examine_due(at=at)
    ben = Caller(there.ben)
    found = ben.get("upkeep/findings/", limit=1).json()
    assert (found["counts"], found["safe"], len(found["results"])) == ({"edge_without_mesh": 1, "shadowed": 1}, 1, 1)
    assert len(ben.get("upkeep/findings/", after=found["after"]).json()["results"]) == 1
    [one] = ben.get("upkeep/findings/", safe="true").json()["results"]
    assert (one["grants"], one["service"], one["removable"]) == ([narrow.public_id, wide.public_id], "payments", True)
    assert Caller(there.dan).get("upkeep/findings/").json()["results"] == []
    assert refused(ben.get("upkeep/findings/", code="nonsense"))[0] == 400


def test_a_clean_up_from_proposal_to_end(there: Shop, at: datetime) -> None:
    wide, narrow = twins(there, at)
    bot = Caller(there.bot)
    body = {"grants": [narrow.public_id], "reason": "Twice."}
    assert refused(bot.post("upkeep/clean-ups/", body)) == (422, "bad_clean_up"), "it may not see it"
    cyd, ben = Caller(there.cyd), Caller(there.ben)
    answer = cyd.post("upkeep/clean-ups/", {**body, "grants": [wide.public_id]})
    assert refused(answer) == (422, "not_the_same")
    assert answer.json()["losses"] == [
        "Ada could no longer call GET /payments from the edge and inside the mesh on Payments."
    ]
    made = cyd.post("upkeep/clean-ups/", body)
    assert (made.status_code, made.json()["safe"], made.json()["losses"]) == (201, True, [])
    assert made.json()["proof"] == {"subjects": 1, "cases": 4, "leans_on": []}
    address = f"upkeep/clean-ups/{made.json()['id']}/"
    assert refused(cyd.post(f"{address}decide/", {"agree": True})) == (403, "own_proposal")
    assert refused(bot.get(address)) == (404, "unknown_clean_up")
    done = ben.post(f"{address}decide/", {"agree": True}).json()
    assert (done["state"], done["decided_by"]["key"]) == ("applied", "person:ben")
    assert Grant.objects.get(pk=narrow.pk).state == "revoked"
    assert [one["id"] for one in ben.get("upkeep/clean-ups/", state="applied").json()["results"]] == [done["id"]]


def test_an_agent_proposes_and_takes_back(there: Shop, at: datetime) -> None:
    own = standing(there.bot, "read", at=at)
    bot = Caller(there.bot)
    body = {"grants": [own.public_id], "reason": "Done.", "must_be_safe": False}
    made = bot.post("upkeep/clean-ups/", body).json()
    assert refused(bot.post(f"upkeep/clean-ups/{made['id']}/decide/", {"agree": True})) == (403, "agents_never_decide")
    assert bot.post(f"upkeep/clean-ups/{made['id']}/withdraw/").json()["state"] == "withdrawn"
    assert CleanUp.objects.get().state == "withdrawn"


def test_standing_access_is_listed_with_its_use_and_answered(there: Shop, at: datetime) -> None:
    row = upkeep.question(there, at)
    ben = Caller(there.ben)
    [one] = ben.get("upkeep/standing/", waiting="true").json()["results"]
    assert (one["id"], one["subject"]["key"], one["last_used_at"], one["state"]) == ("sr_1", "person:ada", None, "open")
    address = f"upkeep/standing/{row.public_id}/answer/"
    assert refused(Caller(there.ada).post(address, {"keep": True, "comment": "Mine."})) == (403, "holder_never_keeps")
    assert refused(ben.post(address, {"keep": True})) == (422, "bad_reason")
    assert ben.post(address, {"keep": True, "comment": "On call."}).json()["state"] == "kept"
    assert refused(ben.post(address, {"keep": False})) == (409, "standing_answered")
    assert ben.get("upkeep/standing/", waiting="true").json()["results"] == []


def test_the_schedule_is_read_by_all_and_written_by_those_who_govern(there: Shop) -> None:
    body = dict(Caller(there.ada).get("upkeep/schedule/").json())
    assert (body.pop("watched_since"), body["version"], body["critical_days"]) == (None, 0, 90)
    cyd = Caller(there.cyd)

    def put(caller: Caller) -> object:
        return caller.client.put("/api/v1/upkeep/schedule/", {**body, "critical_days": 30}, "application/json")

    assert refused(put(Caller(there.ben))) == (403, "role_needed")
    assert put(cyd).json()["critical_days"] == 30  # type: ignore[attr-defined]  # a response
    assert refused(put(cyd)) == (409, "rule_moved")


def test_the_map_tells_both_doors_and_what_is_missing(there: Shop, at: datetime) -> None:
    standing(there.ada, "read", at=at, points=("edge",))
    ada = Caller(there.ada)
    [row] = ada.get("map/").json()["results"]
    assert (row["service"], row["cells"]) == (
        "payments",
        [{"team": "team:storefront", "edge": 1, "mesh": 0, "gaps": 1, "missing": ["claim"]}],
    )
    [held] = ada.get("map/payments/").json()["results"]
    assert (held["subject"], held["teams"], held["edge"], held["mesh"]) == (
        "person:ada",
        ["team:storefront"],
        ["read"],
        [],
    )
    [gap] = held["gaps"]
    assert (gap["shut"], gap["routes"], gap["missing"], gap["by_asking"]) == ("mesh", ["read"], ["claim"], True)
    assert ada.get("map/", team="team:payments").json()["results"] == []
    assert refused(ada.get("map/nowhere/"))[0] == 404
