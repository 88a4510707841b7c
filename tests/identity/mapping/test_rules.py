"""Rules, by themselves: groups in, places out."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.identity.errors import InvalidRule
from apps.identity.mapping import patterns
from apps.identity.mapping.rules import NOTHING, Holdings, Rule, desired, difference, trips

NAMES = st.sampled_from(["shop", "shop-eu", "shop-us", "pay", "ops", "x"])
RULES = st.builds(
    Rule,
    match=st.sampled_from(["exact", "prefix"]),
    pattern=NAMES,
    team=st.sampled_from(["team:a", "team:b"]),
    team_role=st.sampled_from(["member", "owner"]),
) | st.builds(Rule, match=st.just("exact"), pattern=NAMES, console_role=st.sampled_from(["auditor", "security"]))
GROUPS = st.dictionaries(st.sampled_from(["person:a", "person:b", "person:c"]), st.frozensets(NAMES, max_size=4))


def test_a_rule_reads_names_exactly_by_their_beginning_or_by_an_expression() -> None:
    fits = [
        Rule("exact", "shop", team="t").fits("shop"),
        Rule("prefix", "sallyport-", team="t").fits("sallyport-shop"),
        Rule("regex", r"sallyport-(shop|pay)-\d+", team="t").fits("sallyport-pay-7"),
    ]
    misses = [
        Rule("exact", "shop", team="t").fits("Shop"),
        Rule("prefix", "sallyport-", team="t").fits("my-sallyport-shop"),
        Rule("regex", r"sallyport-(shop|pay)-\d+", team="t").fits("sallyport-pay-7-old"),
    ]
    assert (fits, misses) == ([True] * 3, [False] * 3)


def test_the_stronger_place_counts() -> None:
    rules = [
        Rule("prefix", "shop", team="team:shop", team_role="member"),
        Rule("exact", "shop-leads", team="team:shop", team_role="owner"),
        Rule("exact", "audit", console_role="auditor"),
    ]
    found = desired(
        {"person:ada": {"shop-all", "shop-leads", "audit"}, "person:ben": {"shop-all"}, "person:cyd": {"x"}}, rules
    )
    assert found == {
        "person:ada": Holdings({"team:shop": "owner"}, frozenset({"auditor"})),
        "person:ben": Holdings({"team:shop": "member"}),
    }


@settings(max_examples=150, deadline=None)
@given(groups=GROUPS, rules=st.lists(RULES, max_size=6), more=RULES)
def test_more_rules_never_take_anything_away(groups: dict, rules: list[Rule], more: Rule) -> None:
    changes = difference(desired(groups, rules), desired(groups, [*rules, more]))
    assert [change for change in changes if change.loses] == []


@settings(max_examples=150, deadline=None)
@given(before=GROUPS, after=GROUPS, rules=st.lists(RULES, max_size=6))
def test_a_difference_carried_out_leads_to_what_is_wanted(before: dict, after: dict, rules: list[Rule]) -> None:
    current, wanted = desired(before, rules), desired(after, rules)
    for change in difference(current, wanted):
        was = current.get(change.person, NOTHING)
        teams = {team: role for team, role in was.teams.items() if team not in change.lost_teams}
        teams |= {**change.kept_weaker, **change.gained_teams}
        current[change.person] = Holdings(teams, (was.roles - change.lost_roles) | change.gained_roles)
    assert {person: held for person, held in current.items() if held != NOTHING} == wanted
    assert difference(wanted, wanted) == []


@settings(max_examples=100, deadline=None)
@given(groups=GROUPS, rules=st.lists(RULES, max_size=6), data=st.data())
def test_the_order_of_rules_means_nothing(groups: dict, rules: list[Rule], data: st.DataObject) -> None:
    assert desired(groups, rules) == desired(groups, data.draw(st.permutations(rules)))


@pytest.mark.parametrize(
    ("losing", "holders", "expected"), [(4, 4, False), (5, 25, False), (6, 25, True), (5, 24, True), (0, 0, False)]
)
def test_the_breaker_trips_above_a_fifth_and_from_five_people_on(losing: int, holders: int, expected: bool) -> None:
    assert trips(losing=losing, holders=holders, percent=20, at_least=5) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "(",
        "[",
        "(a+)+",
        "(a|a)*",
        "a*b*c*",
        "a?b?c?d?e?",
        "(?=x)",
        "(?:a)",
        r"\1(a)",
        r"\p{L}",
        "x" * 101,
        "a{2}{3}",
    ],
)
def test_an_expression_that_could_run_long_is_refused_with_a_reason(pattern: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        patterns.check(pattern)
    assert refused.value.fields["pattern"]


@settings(max_examples=60, deadline=None)
@given(pattern=st.text(alphabet="ab.*+?()|[]^\\d{}2,", max_size=24))
def test_whatever_is_accepted_answers_quickly(pattern: str) -> None:
    try:
        patterns.check(pattern)
    except InvalidRule:
        return
    started = time.perf_counter()
    patterns.matches(pattern, "ab" * 127 + "c")
    assert time.perf_counter() - started < 1
