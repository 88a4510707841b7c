"""Of several properties that know a hostname, the one is meant that answers for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

import pytest

from apps.audit.actors import SYSTEM
from apps.rollout.drivers.akamai.api import AkamaiApi, Credentials
from apps.rollout.drivers.akamai.property import NoProperty, Property, PropertyDriver
from apps.rollout.services.akamai import attaching, attaching_steps
from tests.factories import access as factory
from tests.localedge.standin import CREDENTIAL
from tests.rollout.akamai.answers import answering
from tests.rollout.world import edge_spec, make_target, now

HOST = "api.shop.test"
ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"


def row(number: int, version: int, production: str = INACTIVE, staging: str = INACTIVE) -> dict[str, object]:
    return {
        "propertyId": f"prp_{number}",
        "propertyName": f"shop-{number}",
        "contractId": "ctr_C",
        "groupId": "grp_1",
        "propertyVersion": version,
        "productionStatus": production,
        "stagingStatus": staging,
    }


def held(number: int, latest: int, staging: int | None, production: int | None) -> dict[str, object]:
    versions = {"latestVersion": latest, "stagingVersion": staging, "productionVersion": production}
    return {"properties": {"items": [{**row(number, latest), **versions}]}}


def find(rows: list[dict[str, object]], properties: Mapping[int, dict[str, object]]) -> Property:
    paths = {f"/papi/v1/properties/prp_{number}": (200, one) for number, one in properties.items()}
    search = {"/papi/v1/search/find-by-value": (200, {"versions": {"items": rows}})}
    with (
        answering({**search, **paths}) as akamai,
        closing(AkamaiApi(akamai.address, Credentials(**CREDENTIAL))) as api,
    ):
        return PropertyDriver(api).find(HOST)


def test_the_one_that_people_use_now_and_not_the_one_the_host_left() -> None:
    left, now = row(1, 4), row(2, 7, ACTIVE)
    assert find([left, now], {1: held(1, 4, 3, 3), 2: held(2, 7, 7, 7)}).name == "shop-2"


def test_one_on_staging_before_one_that_was_only_written() -> None:
    written, tried = row(1, 4), row(2, 7, staging=ACTIVE)
    assert find([written, tried], {1: held(1, 4, None, None), 2: held(2, 7, 7, None)}).base == 7


def test_two_that_are_live_are_named_and_none_is_changed() -> None:
    with pytest.raises(NoProperty, match="several properties have this hostname: shop-1, shop-2"):
        find([row(1, 4, ACTIVE), row(2, 7, ACTIVE)], {})


@pytest.mark.django_db
def test_an_answer_of_another_shape_is_told_where_the_change_is_shown() -> None:
    factory.shop()
    with answering({"/papi/v1/search/find-by-value": (200, {"found": []})}) as akamai:
        target = make_target(edge_spec(akamai.address))
        target.facts = {"edgeworker_id": 7}
        target.save(update_fields=["facts"])
        asked = {"hostname": HOST, "removal": False, "email": "o@shop.test", "actor": SYSTEM, "at": now()}
        change = attaching.ask(slug="edge", **asked)
        attaching_steps.run(change_id=change.pk, clock=now)
    change.refresh_from_db()
    assert (change.state, change.attempts) == ("asked", 1)
    assert change.error == "The answer has another shape than the one that is documented."


def test_a_host_that_only_a_newer_version_has_is_not_served_yet() -> None:
    with pytest.raises(NoProperty, match="version 3 of shop-1, which is live, does not have this hostname"):
        find([row(1, 4)], {1: held(1, 4, 3, 3)})
