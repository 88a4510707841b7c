"""/clusters/, /targets/{slug}/cluster/, /closings/ and /take-over/."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.rollout.models import Target, TargetArtifact
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


def test_it_is_taken_out_as_it_was_seen_and_comes_back(olga: Caller, there: Shop) -> None:
    target = Target.objects.get(slug="cluster")
    held = {"target": target, "service": "payments", "media_type": "application/json", "size": 1}
    TargetArtifact.objects.create(path=CONTESTED, sha256="1", applied_sha256="1", **held)
    told = olga.get("targets/cluster/take-out/").json()
    assert (told["revision"], told["state"], told["left_at"]) == (0, "kept", None)
    assert told["objects"] == [{"kind": "NetworkPolicy", "count": 1}]
    assert [(one["service"], one["opens"]) for one in told["services"]] == [("payments", True)]
    assert refused(olga.post("targets/cluster/take-out/", {"act": "take_out"})) == (409, "plan_moved")
    assert refused(olga.post("targets/cluster/take-out/", {"act": "forget"})) == (409, "not_taken_out")
    wish = {"act": "take_out", "revision": 0}
    assert refused(Caller(there.ada).post("targets/cluster/take-out/", wish))[0] == 403
    answer = olga.post("targets/cluster/take-out/", wish)
    assert (answer.status_code, answer.json()["state"]) == (202, "leaving")
    assert refused(olga.post("targets/cluster/take-out/", wish)) == (409, "taken_out")
    assert olga.post("targets/cluster/take-out/", {"act": "forget"}).json()["state"] == "removed"
    assert olga.get("targets/cluster/take-out/").json()["left_at"] is not None
    assert olga.post("targets/cluster/take-out/", {"act": "back"}).json()["state"] == "kept"


def test_a_node_is_removed(olga: Caller) -> None:
    clusters.pulled_target(datetime.now(UTC))
    assert refused(olga.post("targets/inside/nodes/nobody/remove/")) == (404, "not_found")
    assert olga.post("targets/inside/nodes/agent/remove/").json() == {"results": []}
