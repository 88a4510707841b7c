"""Workers killed while they tidy up: what was decided to end ends wholly, the rest stays, and everything is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from apps.access.models import CleanUp, Grant, GrantDoor, StandingReview
from apps.access.services.cleaning import decide_clean_up
from apps.access.services.standing import answer_standing, ensure_watching, follow_up, open_due_reviews
from apps.audit import services as audit
from apps.audit.models import Event
from apps.outbox.models import Message
from tests.access.test_clean_ups import propose, standing
from tests.access.test_standing import question, used
from tests.dying import killed_all_along
from tests.factories import identity
from tests.factories.access import Shop, shop

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
EVERY_MOMENT = pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), pytest.param(17)])
"""All of them in `make thorough`."""


@pytest.fixture
def there() -> Shop:
    return shop()


@pytest.fixture(autouse=True)
def the_record_holds() -> Iterator[None]:
    yield
    assert audit.verify().ok


def recorded(prefix: str) -> Counter[str]:
    return Counter(Event.objects.filter(action__startswith=prefix).values_list("action", flat=True))


def told() -> int:
    return Message.objects.filter(topic="access.grant.changed").count()


@EVERY_MOMENT
def test_a_clean_up_ends_all_its_grants_or_none(there: Shop, at: datetime, every: int) -> None:
    holders = [identity.person(f"holder{number}") for number in range(12)]
    kept = standing(there.bot, "read", at=at)
    going = [standing(one, "read", at=at) for one in holders]
    row = propose(there.cyd, *going, at=at, safe=False)
    before = told()

    def agree(_: int) -> None:
        if CleanUp.objects.get().state == "pending":
            decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)

    def check() -> None:
        done = CleanUp.objects.get().state == "applied"
        assert Grant.objects.filter(state="revoked").count() == 12 * done
        assert GrantDoor.objects.filter(state="closing").count() == 24 * done
        assert told() == before + 12 * done
        assert recorded("access.clean_up.applied").total() == done

    assert killed_all_along(agree, check, every=every)
    check()
    assert CleanUp.objects.get().state == "applied"
    assert Grant.objects.get(state="active") == kept
    assert recorded("access.grant.revoked") == {"access.grant.revoked": 12}


def asked_about(there: Shop, many: int, at: datetime) -> datetime:
    """Standing access of as many people; returns when it is due to be asked about."""
    ensure_watching(at=at)
    for number in range(many):
        used(standing(identity.person(f"holder{number}"), "read", at=at), at + 179 * DAY)
    return at + 180 * DAY


@EVERY_MOMENT
def test_each_standing_access_is_asked_about_once(there: Shop, at: datetime, every: int) -> None:
    due = asked_about(there, 8, at)

    def check() -> None:
        asked = StandingReview.objects.count()
        assert asked in (0, 8)
        assert Message.objects.filter(topic="access.standing.changed").count() == asked
        assert recorded("access.standing.asked").total() == asked

    killed_all_along(lambda _: open_due_reviews(at=due), check, every=every)
    check()
    assert StandingReview.objects.count() == 8


@EVERY_MOMENT
def test_what_nobody_answers_for_is_passed_on_and_ended_once_whoever_dies(
    there: Shop, at: datetime, every: int
) -> None:
    due = asked_about(there, 8, at)
    assert open_due_reviews(at=due) == 8
    late = due + 14 * DAY

    def check() -> None:
        passed_on = StandingReview.objects.exclude(escalated_at=None).count()
        assert recorded("access.standing.passed_on").total() == passed_on
        lapsed = set(StandingReview.objects.filter(state="lapsed").values_list("grant", flat=True))
        assert set(Grant.objects.filter(state="revoked").values_list("pk", flat=True)) == lapsed
        assert GrantDoor.objects.filter(state="closing").count() == 2 * len(lapsed)
        assert recorded("access.grant.revoked").total() == recorded("access.standing.lapsed").total() == len(lapsed)
        assert told() == before + len(lapsed)

    before = told()
    assert killed_all_along(lambda _: follow_up(at=late), check, every=every)
    check()
    assert StandingReview.objects.filter(state="open", escalated_at=late).count() == 8
    assert killed_all_along(lambda _: follow_up(at=late + 7 * DAY), check, every=every)
    check()
    assert StandingReview.objects.filter(state="lapsed").count() == 8


@pytest.mark.parametrize(("keep", "state", "grant"), [(True, "kept", "active"), (False, "ended", "revoked")])
def test_an_answer_counts_wholly_or_can_be_given_again(
    there: Shop, at: datetime, keep: bool, state: str, grant: str
) -> None:
    row, then = question(there, at), at + 181 * DAY
    given = {"public_id": row.public_id, "actor": there.ben, "keep": keep, "comment": "On call.", "at": then}

    def answer(_: int) -> None:
        if StandingReview.objects.get().state == "open":
            answer_standing(**given)

    def check() -> None:
        pair = (StandingReview.objects.get().state, Grant.objects.get().state)
        assert pair in (("open", "active"), (state, grant))

    assert killed_all_along(answer, check, every=3)
    check()
    assert StandingReview.objects.get().state == state
    assert recorded(f"access.standing.{state}").total() == 1
