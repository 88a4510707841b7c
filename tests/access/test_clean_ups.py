"""Clean-ups: proven or honest, decided by somebody else, done once and wholly."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import refusals, services
from apps.access.models import CleanUp, Grant, UpkeepFinding
from apps.access.selectors import cleaning as selectors
from apps.access.services.cleaning import decide_clean_up, propose_clean_up, withdraw_clean_up
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.identity.models import Subject
from apps.outbox.models import Message
from tests.access.concurrency import together
from tests.factories import identity
from tests.factories.access import Shop, active_grant, service, shop

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=5)


def standing(
    to: Subject, *routes: str, at: datetime, service_slug: str = "payments", points: tuple[str, ...] = ()
) -> Grant:
    made = services.create_standing_grant(
        actor=SYSTEM, subject_key=to.key, service_slug=service_slug, route_keys=routes, points=points, at=at
    )
    return services.activate(grant_id=made.public_id, at=at)


def twins(there: Shop, at: datetime) -> tuple[Grant, Grant]:
    """The second opens nothing that the first does not."""
    return standing(there.ada, "read", "list", at=at), standing(there.ada, "read", at=at)


def propose(actor: Subject, *grants: Grant, at: datetime, safe: bool = True) -> CleanUp:
    ids = [grant.public_id for grant in grants]
    return propose_clean_up(grant_ids=ids, actor=actor, reason="Twice.", must_be_safe=safe, at=at)


def state(grant: Grant) -> str:
    grant.refresh_from_db()
    return grant.state


def test_a_safe_one_is_proposed_with_its_proof_and_done_by_somebody_else(at: datetime) -> None:
    there = shop()
    wide, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    assert (row.safe, row.losses) == (True, [])
    assert row.proof == {"subjects": 1, "cases": 4, "leans_on": []}
    assert (state(wide), state(narrow)) == ("active", "active")
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, comment="Yes.", at=at + LATER)
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.decided_at, row.comment) == ("applied", there.ben, at + LATER, "Yes.")
    assert (state(wide), state(narrow)) == ("active", "revoked")
    assert narrow.end_reason == f"Clean-up {row.public_id}: Twice."
    assert set(narrow.doors.values_list("state", flat=True)) == {"closing"}
    recorded = Event.objects.filter(target_id__in=[row.public_id, narrow.public_id]).order_by("seq")
    assert list(recorded.values_list("action", flat=True))[-3:] == [
        "access.clean_up.proposed",
        "access.grant.revoked",
        "access.clean_up.applied",
    ]
    assert Message.objects.filter(topic="access.clean_up.changed", key=row.public_id).count() == 2


def test_what_takes_something_away_is_never_called_safe_and_says_from_whom(at: datetime) -> None:
    there = shop()
    wide, _ = twins(there, at)
    with pytest.raises(refusals.NotTheSame) as refused:
        propose(there.cyd, wide, at=at)
    told = "Ada could no longer call GET /payments from the edge and inside the mesh on Payments."
    assert refused.value.extra == {"losses": [told]}
    row = propose(there.cyd, wide, at=at, safe=False)
    assert (row.safe, row.losses) == (False, [told])
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    assert state(wide) == "revoked"


def test_what_only_a_team_stands_in_for_says_so(at: datetime) -> None:
    there = shop()
    standing(there.storefront, "read", at=at)
    own = standing(there.ada, "read", at=at)
    assert propose(there.cyd, own, at=at).proof["leans_on"] == ["Storefront"]


def test_both_of_a_pair_cannot_go(at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    first = propose(there.cyd, narrow, at=at)
    with pytest.raises(refusals.AlreadyProposed):
        propose(there.eve, narrow, at=at)
    withdraw_clean_up(public_id=first.public_id, actor=there.cyd, at=at)
    propose(there.eve, narrow, at=at)


def test_it_is_proven_again_when_it_is_done(at: datetime) -> None:
    there = shop()
    wide, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    services.end_grant(public_id=wide.public_id, actor=there.ben, at=at)
    with pytest.raises(refusals.CleanUpOvertaken):
        decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    row.refresh_from_db()
    assert (row.state, state(narrow)) == ("pending", "active")


def test_what_would_take_more_than_was_told_is_not_done(at: datetime) -> None:
    there = shop()
    wide, narrow = twins(there, at)
    row = propose(there.cyd, wide, at=at, safe=False)
    services.end_grant(public_id=narrow.public_id, actor=there.ben, at=at)
    with pytest.raises(refusals.CleanUpOvertaken):
        decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    assert state(wide) == "active"


def test_what_ended_meanwhile_is_not_ended_twice(at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    services.end_grant(public_id=narrow.public_id, actor=there.ada, at=at)
    with pytest.raises(refusals.CleanUpOvertaken):
        decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)


@pytest.mark.parametrize(
    ("who", "refusal"),
    [
        ("cyd", refusals.OwnProposal),
        ("flo", refusals.NotYoursToCleanUp),
        ("ada", refusals.NotYoursToCleanUp),
        ("dan", refusals.UnknownCleanUp),
        ("bot", refusals.UnknownCleanUp),
    ],
)
def test_who_may_not_decide(who: str, refusal: type[Exception], at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    with pytest.raises(refusal):
        decide_clean_up(public_id=row.public_id, actor=getattr(there, who), agree=True, at=at)
    row.refresh_from_db()
    assert (row.state, state(narrow)) == ("pending", "active")


def test_the_owner_of_an_agent_that_proposed_does_not_decide(at: datetime) -> None:
    there = shop()
    bot = identity.agent("tidy-bot", owner=there.ben, team=there.payments_team)
    grant = standing(bot, "read", at=at)
    row = propose(bot, grant, at=at, safe=False)
    with pytest.raises(refusals.OwnProposal):
        decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    with pytest.raises(refusals.AgentsNeverDecide):
        decide_clean_up(public_id=row.public_id, actor=bot, agree=True, at=at)
    decide_clean_up(public_id=row.public_id, actor=there.bea, agree=True, at=at)
    assert state(grant) == "revoked"


def test_declining_and_withdrawing_end_nothing_and_are_final(at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    with pytest.raises(refusals.NotYoursToCancel):
        withdraw_clean_up(public_id=row.public_id, actor=there.ben, at=at)
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=False, comment="We like it.", at=at)
    row.refresh_from_db()
    assert (row.state, state(narrow)) == ("declined", "active")
    for again in (True, False):
        with pytest.raises(refusals.CleanUpDecided):
            decide_clean_up(public_id=row.public_id, actor=there.bea, agree=again, at=at)


def test_what_cannot_be_proposed(at: datetime) -> None:
    there = shop()
    service("ledger", team=there.payments_team)
    _, narrow = twins(there, at)
    other = standing(there.ada, "read", at=at, service_slug="ledger")
    hidden = active_grant(there.bot, there.ben, at=at)
    for ids, actor in (
        ([], there.cyd),
        ([narrow.public_id, other.public_id], there.cyd),
        (["g_nothing"], there.cyd),
        ([hidden.public_id], there.ada),
    ):
        with pytest.raises(refusals.BadCleanUp):
            propose_clean_up(grant_ids=ids, actor=actor, reason="Why not.", must_be_safe=False, at=at)
    with pytest.raises(refusals.BadReason):
        propose_clean_up(grant_ids=[narrow.public_id], actor=there.cyd, reason=" ", must_be_safe=True, at=at)
    assert not CleanUp.objects.exists()


def test_who_sees_one(at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    row = propose(there.cyd, narrow, at=at)
    seeing = [who for who in ("ada", "ben", "cyd", "flo", "dan", "bot") if _sees(getattr(there, who), row)]
    assert seeing == ["ada", "ben", "cyd", "flo"]


def _sees(viewer: Subject, row: CleanUp) -> bool:
    return selectors.list_clean_ups(viewer=viewer).items == (row,)


def test_the_findings_of_the_service_are_looked_at_again_when_it_is_done(at: datetime) -> None:
    there = shop()
    _, narrow = twins(there, at)
    from_before = UpkeepFinding.objects.create(
        service=there.service,
        environment=narrow.environment,
        code="shadowed",
        severity="note",
        sentence="Old.",
        grants=[narrow.public_id],
        found_at=at,
    )
    row = propose(there.cyd, narrow, at=at)
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    assert not UpkeepFinding.objects.filter(pk=from_before.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_that_lean_on_one_another_one_is_done(at: datetime) -> None:
    """Each is safe alone. Done at the same moment, the second finds that it no longer is."""
    there = shop()
    one, other = standing(there.ada, "read", at=at), active_grant(there.ada, there.ben, routes=("read",), at=at)
    twin = standing(there.storefront, "read", at=at)
    rows = [propose(there.cyd, one, at=at), propose(there.eve, twin, other, at=at, safe=False)]
    CleanUp.objects.filter(pk=rows[1].pk).update(safe=True, losses=[])
    results = together(
        *(
            lambda row=row: decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)  # type: ignore[misc]
            for row in rows
        )
    )
    assert sorted(str(result) for result in results if isinstance(result, str)) == ["clean_up_overtaken"]
    assert CleanUp.objects.filter(state="applied").count() == 1
