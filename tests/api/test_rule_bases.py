"""Old rule bases by program: the same road, the same refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.calling import Caller, refused
from tests.factories.access import Shop
from tests.firewall.samples import TEXT

pytestmark = pytest.mark.django_db
HERE = "firewall/rulebases/"

NO_SOURCE = "There is no source. If its cell is merged with the one above it, write '10.0.0.1/8' here too."


def test_it_is_taken_looked_through_cleaned_and_taken_out(there: Shop) -> None:
    ada, cyd = Caller(there.ada), Caller(there.cyd)
    answer = ada.post(HERE, {"name": "Old firewall", "text": TEXT})
    made = answer.json()
    here = f"{HERE}{made['id']}/"
    assert (answer.status_code, made["format"], made["progress"], made["lines"]) == (201, "table", 100, 6)
    assert made["findings"] == {
        "contradictory": 1,
        "duplicate": 1,
        "never_hit": 2,
        "orphaned": 1,
        "redundant": 3,
        "shadowed": 1,
        "too_wide": 1,
    }
    assert ada.get(f"{here}findings/", code="duplicate").json() == {
        "results": [{"code": "duplicate", "line": 5, "involved": [2], "sentence": "Line 2 says exactly the same."}],
        "after": None,
    }
    found = ada.get(f"{here}lines/", q="ghost").json()["results"]
    assert [(one["number"], one["source"], one["ports"], one["hits"]) for one in found] == [
        (7, "ghost", [[443, 443]], 1)
    ]
    asked = ada.post(f"{here}cleanings/", {"codes": ["duplicate", "shadowed", "redundant"], "reason": "Old."}).json()
    assert (asked["dropped"], asked["equivalent"], asked["text"]) == ([2, 3, 5, 6, 7], True, None)
    path = f"{HERE}cleanings/{asked['id']}/"
    assert refused(ada.post(f"{path}decide/", {"approve": True})) == (403, "own_cleaning")
    assert cyd.post(f"{path}decide/", {"approve": True}).json()["outcome"] == "approved"
    assert ada.get(path).json()["text"].splitlines()[1:] == ["any,any,any,any,allow,7"]
    assert [one["name"] for one in cyd.get(HERE).json()["results"]] == ["Old firewall (cleaned)", "Old firewall"]


def test_a_bad_one_is_refused_with_every_problem(there: Shop) -> None:
    answer = Caller(there.ada).post(HERE, {"name": "Old", "text": "src,dst\n10.0.0.1/8,web\n,web\n"})
    assert refused(answer) == (422, "bad_rule_base")
    assert answer.json()["problems"] == [
        {"line": 2, "sentence": "10.0.0.1/8 has bits beyond its prefix: write 10.0.0.1 or 10.0.0.0/8."},
        {"line": 3, "sentence": NO_SOURCE},
    ]


def test_it_is_deleted_with_its_name_and_never_by_a_token_that_only_reads(there: Shop) -> None:
    made = Caller(there.ada).post(HERE, {"name": "Old firewall", "text": TEXT}).json()
    path = f"/api/v1/{HERE}{made['id']}/"

    def delete(caller: Caller, name: str) -> Any:
        return caller.client.delete(path, {"name": name}, content_type="application/json")

    assert refused(delete(Caller(there.ada, scopes=("read",)), "Old firewall")) == (403, "missing_scope")
    assert refused(delete(Caller(there.ada), "Another")) == (422, "deletion_unconfirmed")
    assert delete(Caller(there.ada), "Old firewall").json() == {"results": [], "after": None}
    assert refused(delete(Caller(there.ada), "Old firewall")) == (404, "unknown_rule_base")
