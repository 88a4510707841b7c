"""Old rule bases: taken whole or not at all, looked through, and cleaned up with somebody else's yes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from apps.access.refusals import SubjectSuspended
from apps.audit.actors import SYSTEM
from apps.audit.models import Event
from apps.firewall import handlers
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.models import RuleBase, RuleBaseCleaning, RuleBaseFinding, RuleBaseLine
from apps.firewall.selectors import rule_bases as selectors
from apps.firewall.services import cleaning, rule_bases
from apps.firewall.services.deleting import delete_rule_base
from apps.firewall.services.rule_bases import Given, lines_of
from apps.firewall.views.rule_bases import as_table
from apps.identity import services as identities
from apps.identity.models import Subject
from apps.outbox.models import Message
from tests.bench.rulebase import written
from tests.factories import access, identity
from tests.factories import rule_bases as factory
from tests.factories.access import Shop
from tests.firewall.samples import TEXT

pytestmark = pytest.mark.django_db
NO_SOURCE = "There is no source. If its cell is merged with the one above it, write '10.0.0.1/8' here too."
AT = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def shop() -> Shop:
    return access.shop()


def findings(base: RuleBase) -> list[tuple[str, int, list[int]]]:
    rows = base.findings.order_by("pk").values_list("code", "number", "involved")
    return [(code, number, list(involved)) for code, number, involved in rows]


def actions() -> list[str]:
    return list(Event.objects.filter(action__startswith="firewall.").order_by("seq").values_list("action", flat=True))


def test_a_small_one_is_read_at_once_and_explained(shop: Shop) -> None:
    base = factory.taken(shop.ada, at=AT)
    assert (base.is_ready, base.format, base.semantics) == (True, "table", "first_match")
    assert (base.line_count, base.rule_count, base.progress, base.undecided) == (6, 6, 100, [])
    assert findings(base) == [
        ("redundant", 2, [4]),
        ("redundant", 3, [2]),
        ("never_hit", 3, []),
        ("too_wide", 4, []),
        ("duplicate", 5, [2]),
        ("shadowed", 6, [2]),
        ("contradictory", 6, [2]),
        ("never_hit", 6, []),
        ("redundant", 7, [2, 4]),
        ("orphaned", 7, []),
    ]
    assert actions() == ["firewall.rule_base.taken", "firewall.rule_base.read"]


def test_nothing_is_kept_of_one_with_a_single_bad_line_and_every_bad_line_is_told(shop: Shop) -> None:
    text = TEXT + "10.0.0.1/8,payments,443,tcp,allow,1\n,payments,443,tcp,allow,x\n"
    with pytest.raises(refusals.BadRuleBase) as refused:
        factory.taken(shop.ada, text=text, at=AT)
    assert refused.value.extra["problems"] == [
        {"line": 8, "sentence": "10.0.0.1/8 has bits beyond its prefix: write 10.0.0.1 or 10.0.0.0/8."},
        {"line": 9, "sentence": NO_SOURCE},
        {"line": 9, "sentence": "'x' is no count of packets."},
    ]
    assert not RuleBase.objects.exists()
    assert actions() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (Given("", TEXT), "name"),
        (Given("x", " "), "text"),
        (Given("x", "src,dst\n10.0.0.1,a\x00b\n"), "text"),
        (Given("x", "Hello."), "format"),
        (Given("x", TEXT, format="excel"), "format"),
        (Given("x", TEXT, semantics="random"), "semantics"),
        (Given("x", TEXT, team="team:none"), "team"),
        (Given("x", TEXT, team="team:payments"), "team"),
    ],
)
def test_what_is_missing_is_said_beside_its_field(shop: Shop, given: Given, field: str) -> None:
    with pytest.raises(refusals.BadRuleBase) as refused:
        rule_bases.take_rule_base(given=given, actor=shop.ada, at=AT)
    assert list(refused.value.fields) == [field]


def test_the_suspended_take_nothing_in(shop: Shop) -> None:
    gone = identities.suspend_subject(key=identity.person("gone").key, actor=SYSTEM, at=AT, why="Left.")
    with pytest.raises(SubjectSuspended):
        factory.taken(gone, at=AT)


def test_a_big_one_is_read_in_the_background_once(shop: Shop) -> None:
    base = factory.taken(shop.ada, text=written(2_000), at=AT)
    assert (base.read_at, base.progress, RuleBaseLine.objects.count()) == (None, 0, 0)
    message = Message.objects.get(topic=rule_bases.TAKEN)
    for _ in range(2):
        handlers.rule_base_taken(key=message.key, payload={}, at=AT)
    base.refresh_from_db()
    assert (base.is_ready, base.progress, base.rule_count) == (True, 100, 2_000)
    assert RuleBaseLine.objects.count() == base.line_count
    assert RuleBaseFinding.objects.filter(code="duplicate").exists()
    assert actions() == ["firewall.rule_base.taken", "firewall.rule_base.read"]


def test_of_a_big_one_with_a_bad_line_only_the_problems_are_kept(shop: Shop) -> None:
    base = factory.taken(shop.ada, text=written(2_000) + "10.0.0.999,x,443\n", at=AT)
    handlers.rule_base_taken(key=base.public_id, payload={}, at=AT)
    base.refresh_from_db()
    assert base.problems == [
        {"line": 2002, "sentence": "'10.0.0.999' is no address and no block such as 203.0.113.0/28."},
        {"line": 2002, "sentence": "'443' is no protocol such as tcp, udp or icmp."},
    ]
    assert (base.is_ready, base.lines.count(), base.findings.count()) == (False, 0, 0)
    with pytest.raises(refusals.RuleBaseNotReady):
        cleaning.propose_cleaning(base_id=base.public_id, codes=["duplicate"], reason="x", actor=shop.ada, at=AT)


def test_a_rule_base_is_seen_by_who_took_it_its_team_and_those_who_see_all(shop: Shop) -> None:
    base = factory.taken(shop.ada, team=shop.storefront.key, at=AT)
    mate, other = identity.person("mate", teams=(shop.storefront,)), identity.person("other")

    def sees(viewer: Subject) -> bool:
        return bool(selectors.list_visible_bases(viewer=viewer).items)

    assert [sees(one) for one in (shop.ada, mate, shop.cyd, other, shop.bot)] == [True, True, True, False, False]
    with pytest.raises(refusals.UnknownRuleBase):
        selectors.get_visible_base(viewer=other, public_id=base.public_id)


def propose(shop: Shop, base: RuleBase, *codes: str, numbers: tuple[int, ...] = ()) -> cleaning.RuleBaseCleaning:
    return cleaning.propose_cleaning(
        base_id=base.public_id, codes=codes, numbers=numbers, reason="Nobody needs them.", actor=shop.ada, at=AT
    )


def test_a_clean_up_of_what_is_superfluous_is_proven_to_change_nothing(shop: Shop) -> None:
    base = factory.taken(shop.ada, at=AT)
    found = propose(shop, base, "duplicate", "shadowed", "redundant")
    assert (found.is_equivalent, found.differences, found.unproven) == (True, [], [])
    assert found.text == "source,destination,port,protocol,action,hits\nany,any,any,any,allow,7\n"


def test_a_clean_up_that_changes_something_says_what(shop: Shop) -> None:
    text = "source,destination,port,protocol,action,until\n10.0.0.1,payments,443,tcp,allow,2026-01-01\n"
    found = propose(shop, factory.taken(shop.ada, text=text, at=AT), "expired")
    assert not found.is_equivalent
    assert found.differences == [
        "tcp 443 from 10.0.0.1 to 0.0.0.0 (as payments), coming in was allowed by line 2 and would be denied."
    ]


def test_single_lines_can_be_chosen_and_what_cannot_go_is_not(shop: Shop) -> None:
    base = factory.taken(shop.ada, at=AT)
    with pytest.raises(refusals.NothingToClean):
        propose(shop, base, "too_wide")
    found = propose(shop, base, numbers=(5,))
    assert found.dropped == [5]
    with pytest.raises(refusals.CleaningOpen):
        propose(shop, base, numbers=(2,))


def test_the_clean_up_of_a_big_one_is_proven_in_the_background(shop: Shop) -> None:
    base = factory.taken(shop.ada, text=written(600), at=AT)
    found = propose(shop, base, "duplicate", "shadowed", "redundant")
    assert found.proven_at is None
    with pytest.raises(refusals.CleaningUnproven):
        cleaning.decide_cleaning(public_id=found.public_id, approve=True, actor=shop.cyd, at=AT)
    for _ in range(2):
        handlers.cleaning_proposed(key=found.public_id, payload={}, at=AT)
    found.refresh_from_db()
    assert found.is_equivalent
    assert len(found.text.splitlines()) == 601 - len(found.dropped)


def test_somebody_else_approves_and_the_cleaned_text_becomes_a_rule_base(shop: Shop) -> None:
    base = factory.taken(shop.ada, team=shop.storefront.key, at=AT)
    found = propose(shop, base, "duplicate", "shadowed", "redundant")
    decided = cleaning.decide_cleaning(public_id=found.public_id, approve=True, comment="Yes", actor=shop.cyd, at=AT)
    assert (decided.outcome, decided.decided_by, decided.comment) == ("approved", shop.cyd, "Yes")
    fresh = RuleBase.objects.get(cleaned_from=found)
    assert (fresh.name, fresh.team, fresh.text) == ("Old firewall (cleaned)", shop.storefront, found.text)
    handlers.rule_base_taken(key=fresh.public_id, payload={}, at=AT)
    assert [line.source for line in lines_of(RuleBase.objects.get(pk=fresh.pk))] == ["any"]
    assert actions() == [
        "firewall.rule_base.taken",
        "firewall.rule_base.read",
        "firewall.cleaning.proposed",
        "firewall.rule_base.taken",
        "firewall.cleaning.approved",
        "firewall.rule_base.read",
    ]
    with pytest.raises(refusals.CleaningDecided):
        cleaning.decide_cleaning(public_id=found.public_id, approve=False, actor=shop.cyd, at=AT)


def test_nobody_decides_about_their_own_and_agents_never_do(shop: Shop) -> None:
    base = factory.taken(shop.cyd, team="", at=AT)
    found = cleaning.propose_cleaning(base_id=base.public_id, codes=["duplicate"], reason="x", actor=shop.cyd, at=AT)
    with pytest.raises(refusals.OwnCleaning):
        cleaning.decide_cleaning(public_id=found.public_id, approve=True, actor=shop.cyd, at=AT)
    mate = identity.person("mate", teams=(shop.storefront,))
    ours = factory.taken(shop.ada, name="Ours", team=shop.storefront.key, at=AT)
    asked = propose(shop, ours, "duplicate")
    helper = identity.agent("helper", owner=shop.cyd)
    identity.join(shop.storefront, helper)
    for actor in (mate, helper):
        with pytest.raises(refusals.NotYoursToClean):
            cleaning.decide_cleaning(public_id=asked.public_id, approve=True, actor=actor, at=AT)
    asked.refresh_from_db()
    assert asked.outcome == ""


def test_lines_become_a_table_to_ask_with_and_denials_do_not(shop: Shop) -> None:
    base = factory.taken(shop.ada, at=AT)
    rows = selectors.list_lines_numbered(base, [2, 6])
    assert as_table(rows) == (
        "source,destination,protocol,port,direction,action,until,reason\n10.1.0.0/16,payments,tcp,443,both,allow,,\n"
    )


def test_one_is_deleted_whole_by_its_name_and_the_record_keeps_what_it_was(shop: Shop) -> None:
    base = factory.proposed(shop.ada, AT).base
    with pytest.raises(refusals.DeletionUnconfirmed):
        delete_rule_base(public_id=base.public_id, name="old firewall", actor=shop.ada, at=AT)
    assert RuleBase.objects.count() == 1
    delete_rule_base(public_id=base.public_id, name="Old firewall", actor=shop.ada, at=AT)
    assert [rows.objects.count() for rows in (RuleBase, RuleBaseLine, RuleBaseFinding, RuleBaseCleaning)] == [0] * 4
    event = Event.objects.get(action="firewall.rule_base.deleted")
    assert (event.actor_name, event.target_name, event.before["lines"]) == ("Ada", "Old firewall", 6)
    assert event.before["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert len(event.before["waiting"]) == 1
    handlers.rule_base_taken(key=base.public_id, payload={}, at=AT)
    with pytest.raises(refusals.UnknownRuleBase):
        delete_rule_base(public_id=base.public_id, name="Old firewall", actor=shop.ada, at=AT)


def test_what_was_cleaned_out_of_it_stays(shop: Shop) -> None:
    proposal = factory.proposed(shop.ada, AT)
    cleaning.decide_cleaning(public_id=proposal.public_id, approve=True, actor=shop.cyd, at=AT)
    delete_rule_base(public_id=proposal.base.public_id, name="Old firewall", actor=shop.cyd, at=AT)
    (left,) = RuleBase.objects.all()
    assert (left.name, left.cleaned_from) == ("Old firewall (cleaned)", None)


def test_only_who_answers_for_it_deletes_it(shop: Shop) -> None:
    """A member of its team sees it; its owners, whoever took it in, and those who govern may delete it."""
    member = identity.person("mia")
    identity.join(shop.payments_team, member)
    base = factory.taken(shop.ben, team="team:payments", at=AT)
    for nobody, refusal in ((member, refusals.NotYoursToDelete), (shop.ada, refusals.UnknownRuleBase)):
        with pytest.raises(refusal):
            delete_rule_base(public_id=base.public_id, name="Old firewall", actor=nobody, at=AT)
    delete_rule_base(public_id=base.public_id, name="Old firewall", actor=shop.bea, at=AT)
    by_bot = factory.taken(shop.bot, at=AT)
    with pytest.raises(refusals.NotYoursToDelete):
        delete_rule_base(public_id=by_bot.public_id, name="Old firewall", actor=shop.bot, at=AT)
    delete_rule_base(public_id=by_bot.public_id, name="Old firewall", actor=shop.dan, at=AT)
    assert not RuleBase.objects.exists()
