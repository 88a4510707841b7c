"""From groups to teams and roles. Pure: names in, places out, the same every time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apps.identity.mapping import patterns
from apps.identity.models import Match
from apps.identity.services.effective import strongest


@dataclass(frozen=True, slots=True)
class Rule:
    """``team`` and ``team_role``, or ``console_role``."""

    match: str
    pattern: str
    team: str = ""
    team_role: str = ""
    console_role: str = ""

    def fits(self, group: str) -> bool:
        if self.match == Match.EXACT:
            return group == self.pattern
        if self.match == Match.PREFIX:
            return group.startswith(self.pattern)
        return patterns.matches(self.pattern, group)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What groups give somebody: places in teams by the team's key, and console roles."""

    teams: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()


NOTHING = Holdings()


def desired(groups: Mapping[str, Iterable[str]], rules: Iterable[Rule]) -> dict[str, Holdings]:
    """What each person (by key) should hold, from the names of its groups. Who should hold nothing is left out."""
    told = list(rules)
    fitting: dict[str, tuple[Rule, ...]] = {}
    found: dict[str, Holdings] = {}
    for person, names in groups.items():
        hits: set[Rule] = set()
        for name in names:
            if name not in fitting:
                fitting[name] = tuple(rule for rule in told if rule.fits(name))
            hits.update(fitting[name])
        if hits:
            found[person] = _holdings(hits)
    return found


def _holdings(rules: Iterable[Rule]) -> Holdings:
    teams: dict[str, set[str]] = {}
    roles: set[str] = set()
    for rule in rules:
        if rule.console_role:
            roles.add(rule.console_role)
        else:
            teams.setdefault(rule.team, set()).add(rule.team_role)
    return Holdings({team: strongest(given) for team, given in sorted(teams.items())}, frozenset(roles))


@dataclass(frozen=True, slots=True)
class Change:
    """What would become different for one person. A place that gets stronger is a gain; one that gets weaker is a
    loss, and what is left of it is in ``kept_weaker``."""

    person: str
    gained_teams: Mapping[str, str]
    lost_teams: Mapping[str, str]
    gained_roles: frozenset[str]
    lost_roles: frozenset[str]
    kept_weaker: Mapping[str, str] = field(default_factory=dict)

    @property
    def loses(self) -> bool:
        return bool(self.lost_teams or self.lost_roles)

    @property
    def gains(self) -> bool:
        return bool(self.gained_teams or self.gained_roles)


def difference(current: Mapping[str, Holdings], wanted: Mapping[str, Holdings]) -> list[Change]:
    """By person, in the order of their keys; who keeps everything as it is is left out."""
    changes = []
    for person in sorted(current.keys() | wanted.keys()):
        before, after = current.get(person, NOTHING), wanted.get(person, NOTHING)
        if before != after:
            changes.append(_change(person, before, after))
    return changes


def _change(person: str, before: Holdings, after: Holdings) -> Change:
    teams = before.teams.keys() | after.teams.keys()
    different = {team for team in teams if before.teams.get(team) != after.teams.get(team)}
    weaker = {team for team in different if team in before.teams and after.teams.get(team) != "owner"}
    return Change(
        person=person,
        gained_teams={team: after.teams[team] for team in sorted(different - weaker)},
        lost_teams={team: before.teams[team] for team in sorted(weaker)},
        gained_roles=after.roles - before.roles,
        lost_roles=before.roles - after.roles,
        kept_weaker={team: after.teams[team] for team in sorted(weaker) if team in after.teams},
    )


def trips(*, losing: int, holders: int, percent: int, at_least: int) -> bool:
    """Whether so many of the people who hold something would lose some of it that a person must look first."""
    return losing >= at_least and losing * 100 > percent * holders
