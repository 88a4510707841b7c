"""Of two traffic rules that contradict each other and come at the same moment, one is refused."""

from __future__ import annotations

import pytest

from apps.access.models import AccessRequest, Grant
from apps.catalog.models import Exposure
from tests.access.concurrency import together
from tests.access.test_traffic_rules import ask_rule
from tests.factories import identity
from tests.factories.access import Shop, approve, shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def there() -> Shop:
    made = shop()
    Exposure.objects.filter(service=made.service, point="mesh").update(variants=["v2:9301", "v3:9302"])
    return made


def test_two_asks_at_once(there: Shop) -> None:
    identity.team("beta", members=(there.ada,))
    results = together(
        lambda: ask_rule(there.ben, treatment={"variant": "v2"}).state,
        lambda: ask_rule(there.bea, subject="person:ada", treatment={"variant": "v3"}).state,
    )
    assert sorted(map(str, results)) == ["pending", "traffic_conflict"]
    assert AccessRequest.objects.count() == 1


def test_two_approvals_at_once(there: Shop) -> None:
    """Both were asked for while nobody was in both teams."""
    beta, gamma = identity.team("beta"), identity.team("gamma")
    first = ask_rule(there.ben, treatment={"variant": "v2"})
    second = ask_rule(there.ben, subject=gamma.key, treatment={"variant": "v3"})
    for team in (beta, gamma):
        identity.join(team, there.ada)
    results = together(
        lambda: approve(first, there.bea).state,
        lambda: approve(second, there.bea).state,
    )
    assert sorted(map(str, results)) == ["approved", "traffic_conflict"]
    assert Grant.objects.count() == 1
