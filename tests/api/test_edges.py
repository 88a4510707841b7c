"""/edges/: an edge is added by the same service as in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apps.rollout.models import Target
from apps.rollout.surroundings import secret_of
from tests.api.calling import Caller, refused
from tests.factories import edges, identity
from tests.factories.access import Shop
from tests.rollout.akamai.answers import Answers, answering

pytestmark = pytest.mark.django_db
SECRET = "fresh-secret="


@pytest.fixture
def olga(there: Shop) -> Caller:
    edges.another_environment("elsewhere")
    return Caller(identity.person("olga", roles=("operator",)))


@pytest.fixture
def akamai() -> Iterator[Answers]:
    """An account with one group; signed calls go there since another target does."""
    account = {
        "/edgeworkers/v1/groups": (200, {"groups": [{"groupId": 12, "groupName": "Shop"}]}),
        "/edgeworkers/v1/ids": (200, {"edgeWorkerIds": []}),
    }
    with answering(account) as started:
        other = edges.another_environment("first")
        Target.objects.create(
            slug="first",
            name="First",
            driver="akamai",
            point="edge",
            environment=other,
            config={"base_url": started.address, "group_id": 12, "resource_tier_id": 200, "namespace": "first"},
            created_at=datetime.now(UTC),
        )
        yield started


def wish(akamai: Answers, **more: object) -> dict[str, object]:
    host = akamai.address.partition("://")[2]
    lines = f"[default]\nhost={host}\nclient_token=akab-c\nclient_secret={SECRET}\naccess_token=akab-a\n"
    return {"slug": "partners", "name": "Partners", "environment": "elsewhere", "edgerc": lines, **more}


def test_an_edge_is_added_and_its_secret_stays_in(olga: Caller, akamai: Answers) -> None:
    given = wish(akamai, namespace="partners", probe_url="partners.shop.edgekey.test")
    answer = olga.post("edges/", given)
    assert answer.status_code == 201
    assert (answer.json()["slug"], answer.json()["environment"]) == ("partners", "elsewhere")
    assert SECRET not in answer.content.decode()
    made = Target.objects.get(slug="partners")
    assert secret_of(made)["client_secret"] == SECRET
    assert {name: made.config[name] for name in ("group_id", "resource_tier_id", "namespace", "probe_url")} == {
        "group_id": 12,
        "resource_tier_id": 200,
        "namespace": "partners",
        "probe_url": "partners.shop.edgekey.test",
    }
    assert made.pending.exists()
    assert refused(olga.post("edges/", given)) == (422, "target_exists")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"group_id": 13}, "bad_target", "group_id"),
        ({"probe_url": "http://169.254.169.254"}, "bad_target", "probe_url"),
        ({"contract_id": "C-9"}, "bad_target", "contract_id"),
        ({"namespace": "no blanks"}, "bad_target", "namespace"),
        ({"edgerc": "[default]\nhost"}, "bad_edgerc", "edgerc"),
        ({"environment": "first"}, "bad_target", "environment"),
    ],
)
def test_what_cannot_be_is_said_by_field_and_leaves_nothing(
    olga: Caller, akamai: Answers, change: dict[str, object], code: str, field: str
) -> None:
    answer = olga.post("edges/", wish(akamai, **change))
    assert refused(answer) == (422, code)
    assert list(answer.json()["fields"]) == [field]
    assert not Target.objects.filter(slug="partners").exists()


def test_only_who_keeps_targets_may(there: Shop, olga: Caller, akamai: Answers) -> None:
    assert refused(Caller(there.cyd).post("edges/", wish(akamai))) == (403, "role_needed")
