"""A narrower grant in the place of one that opens too much: proposed with what it takes, decided by somebody else."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.access import refusals, services
from apps.access.models import CleanUp, Grant
from apps.access.selectors.cleaning import list_proposable
from apps.access.selectors.graph import graph_slice
from apps.access.selectors.upkeep import routes_worth_keeping
from apps.access.services.cleaning import decide_clean_up, propose_clean_up
from apps.access.services.standing import ensure_watching, open_due_reviews
from apps.access.services.uses import note_uses
from apps.audit.models import Event
from apps.compiler.decide import Action, Context, Pdp, Resource
from apps.compiler.graph import Point
from apps.identity.models import Subject
from tests.access.test_clean_ups import standing
from tests.factories.access import HOUR, Shop, active_grant, shop

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def propose(actor: Subject, grant: Grant, *routes: str, at: datetime, safe: bool = False) -> CleanUp:
    return propose_clean_up(
        grant_ids=[grant.public_id],
        actor=actor,
        reason="Nobody needs the rest.",
        must_be_safe=safe,
        keep={grant.public_id: routes},
        at=at,
    )


def may(there: Shop, method: str, path: str, at: datetime) -> bool:
    graph = graph_slice(service_slugs=["payments"], environment_slug="demo", at=at)
    asked = Resource("payments", path), Context(Point.MESH)
    return Pdp(graph).decide(there.ada.key, Action(method), *asked, int(at.timestamp())).allowed


def test_the_wide_one_ends_and_the_narrow_one_opens_in_one_change(at: datetime) -> None:
    there = shop()
    wide = standing(there.ada, "read", "list", "refund", at=at)
    row = propose(there.cyd, wide, "read", at=at)
    assert (row.safe, row.kept) == (False, {wide.public_id: ["read"]})
    assert row.losses == [
        "Ada could no longer call GET /payments and POST /refunds from the edge and inside the mesh on Payments."
    ]
    assert Grant.objects.get() == wide
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at + DAY)
    old, new = Grant.objects.order_by("pk")
    assert (old.state, new.state, new.ends_at, new.starts_at) == ("revoked", "active", None, wide.starts_at)
    assert (new.subject, new.points, new.approved_at) == (there.ada, wide.points, wide.approved_at)
    assert [route.key for route in new.routes.all()] == ["read"]
    assert sorted(new.doors.values_list("state", flat=True)) == ["opening", "opening"]
    event = Event.objects.get(action="access.grant.narrowed")
    assert (event.actor_name, event.after["instead_of"], event.after["routes"]) == ("Ben", wide.public_id, ["read"])
    assert [may(there, *call, at + DAY) for call in (("GET", "/payments/7"), ("POST", "/refunds"))] == [True, False]


def test_one_with_an_end_keeps_its_end(at: datetime) -> None:
    there = shop()
    wide = active_grant(there.ada, there.ben, routes=("read", "list"), duration=HOUR, at=at)
    row = propose(there.cyd, wide, "read", at=at)
    decide_clean_up(public_id=row.public_id, actor=there.bea, agree=True, at=at + timedelta(minutes=50))
    new = Grant.objects.latest("pk")
    assert (new.ends_at, new.state) == (wide.ends_at, "active")
    services.expire_due_grants(at=at + timedelta(hours=2))
    new.refresh_from_db()
    assert new.state == "expired"


def test_what_others_open_already_is_narrowed_safely(at: datetime) -> None:
    there = shop()
    wide = standing(there.ada, "read", "list", at=at)
    standing(there.ada, "list", at=at)
    assert propose(there.cyd, wide, "read", at=at, safe=True).safe


def test_uses_go_with_it_so_that_it_is_not_called_unused(at: datetime) -> None:
    there = shop()
    ensure_watching(at=at)
    wide, then = standing(there.ada, "read", "list", at=at), at + 100 * DAY
    note_uses({(wide.public_id, "read"): then - DAY})
    assert worth_keeping(there.cyd, wide, at=then) == {wide.public_id: ("read",)}
    row = propose(there.cyd, wide, "read", at=then)
    decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=then)
    new = Grant.objects.latest("pk")
    assert dict(new.uses.values_list("route", "last_at")) == {"read": then - DAY}
    assert open_due_reviews(at=then) == 0


def worth_keeping(viewer: Subject, *grants: Grant, at: datetime) -> dict[str, tuple[str, ...]]:
    ids = [grant.public_id for grant in grants]
    return routes_worth_keeping(list_proposable(viewer=viewer, public_ids=ids), at)


def test_nothing_is_narrowed_to_its_use_before_it_was_watched_for_long_enough(at: datetime) -> None:
    there = shop()
    ensure_watching(at=at)
    wide, idle = standing(there.ada, "read", "list", at=at), standing(there.bot, "read", "list", at=at)
    note_uses({(wide.public_id, "read"): at + 80 * DAY})
    assert worth_keeping(there.cyd, wide, idle, at=at + 89 * DAY) == {}
    assert worth_keeping(there.cyd, wide, idle, at=at + 90 * DAY) == {wide.public_id: ("read",)}
    note_uses({(wide.public_id, "list"): at + 81 * DAY})
    assert worth_keeping(there.cyd, wide, idle, at=at + 90 * DAY) == {}


def test_what_narrows_nothing_is_refused(at: datetime) -> None:
    there = shop()
    wide, other = standing(there.ada, "read", "list", at=at), standing(there.ada, "refund", at=at)
    for grant, keep in (
        (wide, {wide.public_id: ["read", "list"]}),
        (wide, {wide.public_id: []}),
        (wide, {wide.public_id: ["refund"]}),
        (wide, {other.public_id: ["refund"]}),
    ):
        with pytest.raises(refusals.BadCleanUp) as refused:
            propose_clean_up(
                grant_ids=[grant.public_id], actor=there.cyd, reason="So.", must_be_safe=False, keep=keep, at=at
            )
        assert list(refused.value.fields) == ["keep"]
    coming = services.create_standing_grant(
        actor=there.cyd.actor, subject_key=there.bot.key, service_slug="payments", route_keys=["read", "list"], at=at
    )
    with pytest.raises(refusals.BadCleanUp):
        propose(there.cyd, coming, "read", at=at)


def test_what_the_holder_has_already_is_not_made_twice(at: datetime) -> None:
    there = shop()
    wide = standing(there.ada, "read", "list", at=at)
    row = propose(there.cyd, wide, "read", at=at)
    standing(there.ada, "read", at=at)
    with pytest.raises(refusals.AlreadyStanding):
        decide_clean_up(public_id=row.public_id, actor=there.ben, agree=True, at=at)
    wide.refresh_from_db()
    assert wide.state == "active"
