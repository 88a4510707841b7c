"""Workers killed while they send, approve, read, prove, clean, copy and give up: all of it is there or none of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from apps.access.models import AccessRequest, Grant, GrantDoor
from apps.access.services import create_standing_grant, review
from apps.audit import services as audit
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.catalog.models import Service
from apps.firewall import services
from apps.firewall.models import (
    Decommission,
    FirewallLine,
    FirewallRequest,
    LineMeaning,
    RuleBase,
    RuleBaseCleaning,
    RuleBaseFinding,
    RuleBaseLine,
)
from apps.firewall.services import cleaning, rule_bases
from apps.identity.freshness import Freshness
from apps.outbox import services as outbox
from apps.outbox.models import Message, State
from tests.bench.rulebase import written as long_text
from tests.dying import dies, killed_all_along
from tests.factories import access as factory
from tests.factories import firewall
from tests.factories import rule_bases as bases
from tests.factories.access import Shop
from tests.factories.firewall import HOUR, written
from tests.firewall.test_services_as_a_whole import furnish

pytestmark = pytest.mark.django_db(transaction=True)

BIG = 1_500
"""Lines: more than are read while somebody waits."""
AFTER_ITS_LEASE = timedelta(minutes=3)
EVERY_MOMENT = pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), pytest.param(31)])
"""All of them in `make thorough`."""


@pytest.fixture
def shop(at: datetime) -> Shop:
    """Whose news is heard already, so that a worker finds nothing but what a test gives it."""
    made = factory.shop()
    while outbox.drain(at=at, limit=100).handled:
        pass
    return made


@pytest.fixture(autouse=True)
def the_record_holds() -> Iterator[None]:
    yield
    assert audit.verify().ok


def recorded(prefix: str) -> Counter[str]:
    return Counter(Event.objects.filter(action__startswith=prefix).values_list("action", flat=True))


def worker(at: datetime) -> Callable[[int], object]:
    """Each comes when the lease of the one before has run out."""
    return lambda died: outbox.drain(at=at + died * AFTER_ITS_LEASE, limit=10)


# -- firewall requests


@EVERY_MOMENT
def test_a_request_killed_while_it_is_sent_goes_on_where_it_was_and_asks_for_nothing_twice(
    shop: Shop, at: datetime, every: int
) -> None:
    lines = [written("person:ada", path="/refunds"), written("person:ada", method="GET", path="/payments")]
    asked = firewall.request(shop.ada, *lines, written("team:storefront", path="/refunds"), at=at)
    services.take_narrowest(public_id=asked.public_id, actor=shop.ada, at=at)

    def check() -> None:
        linked = FirewallLine.objects.exclude(access_request=None)
        assert AccessRequest.objects.count() == linked.values("access_request").distinct().count()
        assert recorded("firewall.request.sent").total() == AccessRequest.objects.count()

    died = killed_all_along(
        lambda _: services.submit(public_id=asked.public_id, actor=shop.ada, at=at), check, every=every
    )
    assert died
    check()
    assert AccessRequest.objects.count() == 2
    assert not FirewallLine.objects.filter(access_request=None).exists()
    assert recorded("access.request.opened") == {"access.request.opened": 2}


@EVERY_MOMENT
def test_an_approved_line_is_a_grant_with_work_to_do_or_still_waits(shop: Shop, at: datetime, every: int) -> None:
    asked = firewall.request(shop.ada, written("person:ada", path="/refunds"), at=at)
    services.take_narrowest(public_id=asked.public_id, actor=shop.ada, at=at)
    (opened,) = services.submit(public_id=asked.public_id, actor=shop.ada, at=at).opened

    def approve(_: int) -> None:
        if AccessRequest.objects.get().state == "pending":
            review(public_id=opened, actor=shop.ben, verdict="approve", freshness=Freshness(None), at=at)

    def check() -> None:
        made = Grant.objects.count()
        assert made == (AccessRequest.objects.get().state == "approved")
        assert GrantDoor.objects.filter(state="opening").count() == 2 * made
        assert Message.objects.filter(topic="access.grant.changed").count() == made
        assert recorded("access.request.approved").total() == made

    assert killed_all_along(approve, check, every=every)
    check()
    assert Grant.objects.get().request.public_id == opened


@EVERY_MOMENT
def test_a_copy_of_a_services_access_is_whole_or_not_there(shop: Shop, at: datetime, every: int) -> None:
    factory.service("orders", team=shop.storefront)
    factory.service("billing", team=shop.storefront)
    orders = "workload:spiffe://shop.test/ns/shop/sa/orders"
    create_standing_grant(actor=SYSTEM, subject_key=orders, service_slug="payments", route_keys=("list", "read"), at=at)
    head = services.Head(title="Like orders", reason="It replaces it.", duration=HOUR)

    def clone(_: int) -> None:
        if not FirewallRequest.objects.exists():
            services.clone_access(actor=shop.ada, source="orders", to="billing", sides=["caller"], head=head, at=at)

    def check() -> None:
        made = FirewallRequest.objects.count()
        assert made in (0, 1)
        assert FirewallLine.objects.count() == LineMeaning.objects.count() == 2 * made
        assert recorded("firewall.request.written").total() == made

    assert killed_all_along(clone, check, every=every)
    check()
    assert FirewallRequest.objects.exists()


@EVERY_MOMENT
def test_a_service_is_given_up_with_all_that_names_it_or_nothing_of_it_ended(
    shop: Shop, at: datetime, every: int
) -> None:
    furnish(shop, at)
    services.propose_end(slug="payments", reason="Replaced.", actor=shop.ben, at=at)
    grants, waiting = Grant.objects.count(), AccessRequest.objects.filter(state="pending").count()
    told = Message.objects.filter(topic="access.grant.changed").count()
    assert (grants, waiting) == (3, 1)

    def give_up(_: int) -> None:
        if Decommission.objects.get().outcome == "":
            services.decide_end(slug="payments", outcome="approved", actor=shop.cyd, at=at)

    def check() -> None:
        done = Decommission.objects.get().outcome == "approved"
        assert Grant.objects.filter(state="revoked").count() == grants * done
        assert GrantDoor.objects.filter(state__in=["opening", "open", "proven"]).exists() != done
        assert AccessRequest.objects.filter(state="pending").count() == waiting * (not done)
        assert Service.objects.filter(slug="payments", retired_at=None).exists() != done
        assert Message.objects.filter(topic="access.grant.changed").count() == told + grants * done

    assert killed_all_along(give_up, check, every=every)
    check()
    assert recorded("firewall.decommission.approved").total() == 1


# -- rule bases


def is_read_once(base: RuleBase, lines: int) -> None:
    base.refresh_from_db()
    assert (base.is_ready, base.progress, base.line_count) == (True, 100, lines)
    assert list(base.lines.order_by("place").values_list("place", flat=True)) == list(range(1, lines + 1))
    assert recorded("firewall.rule_base") == {"firewall.rule_base.taken": 1, "firewall.rule_base.read": 1}
    assert set(Message.objects.filter(topic=rule_bases.TAKEN).values_list("state", flat=True)) == {State.DONE}


def read_or_nothing(base: RuleBase) -> None:
    """No line and no finding of it is there before all are; and somebody has still to do it."""
    base.refresh_from_db()
    if base.read_at is None:
        assert not RuleBaseLine.objects.exists()
        assert not RuleBaseFinding.objects.exists()
        assert Message.objects.get(topic=rule_bases.TAKEN).state == State.PENDING


@pytest.mark.parametrize("first", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_rule_base_killed_at_any_moment_of_its_reading_is_read_once(shop: Shop, at: datetime, first: int) -> None:
    text = long_text(BIG)
    base = bases.taken(shop.ada, text=text, at=at)
    assert base.read_at is None
    died = killed_all_along(worker(at), lambda: read_or_nothing(base), first=first, every=3)
    assert 5 < died < outbox.MAX_ATTEMPTS
    is_read_once(base, BIG)
    alone = bases.taken(shop.ada, text=text, name="The same, left alone", at=at)
    rule_bases.read_rule_base(public_id=alone.public_id, at=at)
    said = [list(one.findings.order_by("pk").values_list("code", "number", "sentence")) for one in (base, alone)]
    assert said[0] == said[1]


def test_what_kills_every_worker_is_said_to_be_unread_and_not_worked_on_for_ever(shop: Shop, at: datetime) -> None:
    base = bases.taken(shop.ada, text=long_text(BIG), at=at)
    for died in range(outbox.MAX_ATTEMPTS):
        assert dies(lambda: worker(at)(died), at_moment=6)  # noqa: B023 - called at once
        read_or_nothing(base)
    worker(at)(outbox.MAX_ATTEMPTS)
    base.refresh_from_db()
    assert base.problems == [{"line": 0, "sentence": rule_bases.TOO_MUCH}]
    assert Message.objects.get(topic=rule_bases.TAKEN).state == State.DEAD
    assert not RuleBaseLine.objects.exists()


def test_a_proof_that_kills_every_worker_is_said_to_be_missing(shop: Shop, at: datetime) -> None:
    row = proposed_big(shop, 600, at)
    for died in range(outbox.MAX_ATTEMPTS):
        assert dies(lambda: worker(at)(died), at_moment=3)  # noqa: B023 - as above
    worker(at)(outbox.MAX_ATTEMPTS)
    row.refresh_from_db()
    assert (row.is_equivalent, row.differences, row.unproven) == (False, [], row.dropped)
    assert len(row.text.splitlines()) == 601 - len(row.dropped)


def test_a_small_rule_base_is_there_and_read_or_not_there(shop: Shop, at: datetime) -> None:
    def take(_: int) -> None:
        if not RuleBase.objects.exists():
            bases.taken(shop.ada, at=at)

    def check() -> None:
        assert not RuleBase.objects.filter(read_at=None).exists()

    assert killed_all_along(take, check, every=2)
    assert RuleBase.objects.get().is_ready


def test_no_clean_up_is_worked_on_for_ever(shop: Shop, at: datetime) -> None:
    """Killed while it is proposed, it is not there, or proven, or somebody has still to prove it."""
    base = bases.taken(shop.ada, at=at)

    def propose(_: int) -> None:
        if not RuleBaseCleaning.objects.exists():
            given = {"codes": ("duplicate", "shadowed"), "reason": "Nobody needs them.", "actor": shop.ada, "at": at}
            cleaning.propose_cleaning(base_id=base.public_id, **given)

    def check() -> None:
        waiting = RuleBaseCleaning.objects.filter(proven_at=None).count()
        assert Message.objects.filter(topic=cleaning.PROPOSED, state=State.PENDING).count() == waiting

    assert killed_all_along(propose, check)
    check()
    outbox.drain(at=at, limit=10)
    assert RuleBaseCleaning.objects.get().is_equivalent
    assert recorded("firewall.cleaning") == {"firewall.cleaning.proposed": 1}


def proposed_big(shop: Shop, lines: int, at: datetime) -> RuleBaseCleaning:
    base = bases.taken(shop.ada, text=long_text(lines), at=at)
    rule_bases.read_rule_base(public_id=base.public_id, at=at)
    Message.objects.all().delete()
    return cleaning.propose_cleaning(
        base_id=base.public_id, codes=("duplicate", "redundant"), reason="Old.", actor=shop.ada, at=at
    )


def test_a_clean_up_killed_at_any_moment_is_proven_and_taken_in_once(shop: Shop, at: datetime) -> None:
    row = proposed_big(shop, 600, at)
    assert row.proven_at is None

    def check() -> None:
        waits = Message.objects.filter(topic=cleaning.PROPOSED, state=State.PENDING).exists()
        assert waits or RuleBaseCleaning.objects.get().proven_at

    assert killed_all_along(worker(at), check) >= 4
    assert RuleBaseCleaning.objects.get().is_equivalent

    def agree(_: int) -> None:
        if not RuleBaseCleaning.objects.get().outcome:
            cleaning.decide_cleaning(public_id=row.public_id, approve=True, actor=shop.cyd, at=at)

    def decided() -> None:
        fresh = RuleBase.objects.filter(cleaned_from=row).count()
        assert fresh == (RuleBaseCleaning.objects.get().outcome == "approved")
        assert Message.objects.filter(topic=rule_bases.TAKEN).count() == fresh

    assert killed_all_along(agree, decided) > 5
    decided()
    killed_all_along(worker(at + timedelta(hours=1)), lambda: None, every=7)
    fresh = RuleBase.objects.get(cleaned_from=row)
    assert fresh.is_ready
    assert fresh.lines.count() == fresh.line_count == 600 - len(row.dropped)


@pytest.mark.slow
def test_ten_thousand_lines_killed_in_the_middle_are_read_proven_and_taken_in_once(shop: Shop, at: datetime) -> None:
    base = bases.taken(shop.ada, text=long_text(10_000), at=at)
    for died, moment in enumerate((8, 12, 17, 21, 26)):
        then = at + died * AFTER_ITS_LEASE
        assert dies(lambda: outbox.drain(at=then, limit=1), at_moment=moment)  # noqa: B023 - called at once
        read_or_nothing(base)
    outbox.drain(at=at + timedelta(hours=1), limit=1)
    is_read_once(base, 10_000)

    codes = ("duplicate", "shadowed", "redundant")
    row = cleaning.propose_cleaning(base_id=base.public_id, codes=codes, reason="Old.", actor=shop.ada, at=at)
    for died, moment in enumerate((3, 4, 5)):
        then = at + timedelta(hours=2) + died * AFTER_ITS_LEASE
        assert dies(lambda: outbox.drain(at=then, limit=1), at_moment=moment)  # noqa: B023 - as above
    outbox.drain(at=at + timedelta(hours=3), limit=1)
    row.refresh_from_db()
    assert row.is_equivalent
