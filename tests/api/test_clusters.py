"""/clusters/, /targets/{slug}/cluster/, /closings/ and /take-over/."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.rollout.models import Target
from apps.rollout.surroundings import secret_of
from tests.api.calling import Caller, refused
from tests.factories import clusters, identity
from tests.factories.access import Shop
from tests.factories.clusters import CONTESTED

pytestmark = pytest.mark.django_db
SETTINGS = {"namespaces": ["shop"], "emitters": ["networkpolicy"]}


@pytest.fixture
def olga(there: Shop) -> Caller:
    clusters.cluster_target(datetime.now(UTC))
    return Caller(identity.person("olga", roles=("operator",)))


def test_a_cluster_is_read_without_its_credential(olga: Caller) -> None:
    answer = olga.get("targets/cluster/cluster/")
    told = answer.json()
    assert (told["server"], told["reached"]) == ("https://127.0.0.1:1", "by its address and a token")
    assert told["conflicts"] == [{"path": CONTESTED, "managers": "kubectl", "fields_set": ".spec.ingress"}]
    assert told["settings"]["emitters"] == ["networkpolicy", "smi"]
    assert "kind: Role" in told["manifest"]
    assert told["watched"] is False, "no process said lately that it watches"
    assert "cluster-token-1234" not in answer.content.decode()
    assert refused(olga.get("targets/edge/cluster/")) == (404, "not_found")


def test_settings_are_changed_and_refused_by_name(olga: Caller) -> None:
    answer = olga.post("targets/cluster/cluster/", {"settings": {**SETTINGS, "mtls": "strict"}})
    assert answer.json()["settings"]["mtls"] == "strict"
    answer = olga.post("targets/cluster/cluster/", {"settings": {**SETTINGS, "emitters": ["istio"]}})
    assert (refused(answer), list(answer.json()["fields"])) == ((422, "bad_target"), ["emitters"])


def test_a_cluster_is_made_known(olga: Caller) -> None:
    wish = {"slug": "second", "name": "Second", "settings": SETTINGS, "way": {"by": "agent"}}
    answer = olga.post("clusters/", wish)
    assert (answer.status_code, answer.json()["delivery"]) == (201, "pulled")
    assert refused(olga.post("clusters/", wish)) == (422, "target_exists")
    way = {"by": "token", "server": "http://127.0.0.1:1", "token": "fresh-secret-token"}
    answer = olga.post("targets/second/cluster/", {"way": way})
    assert refused(answer) == (422, "cluster_refused")
    assert "fresh-secret-token" not in answer.content.decode()
    assert secret_of(Target.objects.get(slug="second"))["token"] == ""


def test_what_would_be_closed_is_listed_and_agreed_to(olga: Caller, there: Shop) -> None:
    (row,) = olga.get("targets/cluster/closings/").json()["results"]
    assert (row["service"], row["paths"], row["more"]) == ("payments", [CONTESTED], 0)
    assert refused(Caller(there.cyd).post("targets/cluster/closings/", {"services": ["payments"]})) == (
        403,
        "role_needed",
    )
    assert olga.post("targets/cluster/closings/", {"services": ["payments"]}).json() == {"results": []}
    assert refused(olga.post("targets/cluster/closings/", {"services": ["payments"]})) == (409, "nothing_waits")


def test_an_object_is_taken_over_once_it_was_shown(olga: Caller) -> None:
    wrong = {"path": CONTESTED, "managers": "argocd"}
    assert refused(olga.post("targets/cluster/take-over/", wrong)) == (409, "no_conflict")
    assert olga.post("targets/cluster/take-over/", {**wrong, "managers": "kubectl"}).status_code == 200
    assert list(Target.objects.get(slug="cluster").facts["taken"]) == [CONTESTED]
