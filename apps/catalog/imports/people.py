"""Groups and users: teams, people, agents, who belongs where and who decides."""

from __future__ import annotations

import re

from apps.catalog.imports.entities import Entity, Ref
from apps.catalog.imports.estate import Agent, ConsoleRole, Estate, Membership, Person, Team

ROLES = ("security", "auditor", "operator", "administrator")
_KEY_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,180}")


def is_agent(entity: Entity) -> bool:
    return entity.annotation("kind").lower() == "agent"


def subject_key(ref: Ref, agents: frozenset[Ref]) -> str:
    """The key of the subject that a group, user or agent becomes."""
    if ref.kind == "group":
        return f"team:{ref.joined}"
    return f"{'agent' if ref in agents else 'person'}:{ref.joined}"


def read_group(entity: Entity, estate: Estate, agents: frozenset[Ref]) -> None:
    team = Team(subject_key(entity.ref, agents), entity.title, _purpose(entity))
    _add(entity, estate, team)
    for number, text in entity.texts("spec", "members"):
        ref = entity.refer(text, "spec", "members", number, kind="user", kinds=("user",))
        if ref is not None:
            _join(entity, estate, agents, team=entity.ref, member=ref, role="member")
    _read_kin(entity, estate, agents)


def _read_kin(entity: Entity, estate: Estate, agents: frozenset[Ref]) -> None:
    """Parents and children must exist. Membership is not inherited: a door opens for a team, not for its relatives."""
    parent = entity.text("spec", "parent")
    kin = [(parent, ("spec", "parent"))] if parent else []
    named = [*kin, *((text, ("spec", "children", number)) for number, text in entity.texts("spec", "children"))]
    for text, path in named:
        ref = entity.refer(text, *path, kind="group", kinds=("group",))
        if ref is not None:
            estate.need(subject_key(ref, agents), entity.place(*path))
    if named:
        entity.note("its relatives are known, but membership is not inherited from them.")


def read_user(entity: Entity, estate: Estate, agents: frozenset[Ref]) -> None:
    teams = _teams(entity)
    if entity.ref in agents:
        if len(teams) > 1:
            entity.blame("An agent belongs to one team at most.", "spec", "memberOf")
        read_agent(entity, estate, agents, teams[0] if teams else None)
        return
    email = entity.text("spec", "profile", "email", limit=254)
    if email and not _EMAIL.fullmatch(email):
        entity.blame("This is not a mail address.", "spec", "profile", "email")
    name = entity.text("spec", "profile", "displayName") or entity.title
    person = Person(subject_key(entity.ref, agents), name, email)
    _add(entity, estate, person)
    for role in entity.listed("roles"):
        if role not in ROLES:
            entity.blame_annotation(f"'{role}' is none of {', '.join(ROLES)}.", "roles")
        else:
            estate.add(ConsoleRole(person.key, role), entity.place())
    owned = _owned(entity, teams)
    for team in teams:
        _join(entity, estate, agents, team=team, member=entity.ref, role="owner" if team in owned else "member")


def read_agent(entity: Entity, estate: Estate, agents: frozenset[Ref], team: Ref | None) -> None:
    """An agent acts for its owner, a person, and belongs to a team without sharing what the team was granted."""
    written = entity.annotation("owner-person")
    path = ("metadata", "annotations", "sallyport.dev/owner-person")
    owner = entity.refer(written, *path, kind="user", kinds=("user",)) if written else None
    if owner is None or owner in agents:
        entity.blame_annotation("An agent needs an owner, and the owner is a person.", "owner-person")
        return
    name = entity.text("spec", "profile", "displayName") or entity.title
    team_key = subject_key(team, agents) if team else None
    owner_key = subject_key(owner, agents)
    _add(entity, estate, Agent(subject_key(entity.ref, agents), name, owner_key, team_key, _purpose(entity)))
    estate.need(owner_key, entity.place(*path))
    if team_key:
        estate.need(team_key, entity.place("spec"))


def _teams(entity: Entity) -> list[Ref]:
    found = []
    for number, text in entity.texts("spec", "memberOf"):
        ref = entity.refer(text, "spec", "memberOf", number, kind="group", kinds=("group",))
        if ref is not None and ref not in found:
            found.append(ref)
    return found


def _owned(entity: Entity, teams: list[Ref]) -> set[Ref]:
    """``sallyport.dev/team-role: owner`` speaks of all the user's teams, ``payments=owner`` of one."""
    owned: set[Ref] = set()
    for part in entity.listed("team-role"):
        name, _, role = part.rpartition("=")
        meant = [team for team in teams if not name or team.joined == name.strip().lower()]
        if role.strip() not in ("owner", "member") or not meant:
            entity.blame_annotation(
                f"'{part[:80]}' should be owner, member, or team=owner with a team of this user.", "team-role"
            )
        elif role.strip() == "owner":
            owned.update(meant)
    return owned


def _join(entity: Entity, estate: Estate, agents: frozenset[Ref], *, team: Ref, member: Ref, role: str) -> None:
    """Both sides may say the same membership; the stronger role counts."""
    if member in agents:
        return
    wanted = Membership(subject_key(team, agents), subject_key(member, agents), role)
    if not estate.add(wanted, entity.place("spec")) and role == "owner":
        estate.items[wanted.ref] = wanted
    estate.need(wanted.team, entity.place("spec"))
    estate.need(wanted.member, entity.place("spec"))


def _purpose(entity: Entity) -> str:
    return entity.text("metadata", "description", limit=5000)[:300]


def _add(entity: Entity, estate: Estate, item: Team | Person | Agent) -> None:
    if not _KEY_NAME.fullmatch(item.key.partition(":")[2]):
        entity.blame("With its namespace the name is longer than 63 characters.", "metadata", "name")
    elif not estate.add(item, entity.place()):
        entity.blame(f"Another entity is called {item.key} too.", "metadata", "name")
