"""What counts of what a team's own list states and what directories give: the stronger of the two."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from apps.identity.models import ConsoleRole, MappedMembership, MappedRole, Membership, MembershipRole, Subject


def settle_memberships(team: Subject, members: Collection[int]) -> None:
    """Bring ``Membership.role`` of these members in line, in a few statements however many they are.

    The caller locked the team and has written the parts.
    """
    mapped: defaultdict[int, list[str]] = defaultdict(list)
    for member, role in MappedMembership.objects.filter(team=team, member__in=members).values_list("member", "role"):
        mapped[member].append(role)
    rows = {row.member_id: row for row in Membership.objects.filter(team=team, member__in=members)}
    wanted = {member: strongest([row.stated_role, *mapped[member]]) for member, row in rows.items()}
    over = [row.pk for member, row in rows.items() if not wanted[member]]
    Membership.objects.filter(pk__in=over).delete()
    for role in MembershipRole.values:
        other = [row.pk for member, row in rows.items() if wanted[member] == role != row.role]
        Membership.objects.filter(pk__in=other).update(role=role)
    missing = [member for member in mapped if mapped[member] and member not in rows]
    Membership.objects.bulk_create(
        [Membership(team=team, member_id=member, role=strongest(mapped[member])) for member in missing]
    )


def strongest(roles: Iterable[str]) -> str:
    """Owner before member before nothing."""
    held = set(roles)
    return next((role for role in (MembershipRole.OWNER, MembershipRole.MEMBER) if role in held), "")


def settle_role(subject: Subject, role: str) -> bool:
    """Bring the person's console role in line; says whether that changed whether it is held."""
    given = MappedRole.objects.filter(subject=subject, role=role).exists()
    if given:
        return ConsoleRole.objects.get_or_create(subject=subject, role=role, defaults={"stated": False})[1]
    return ConsoleRole.objects.filter(subject=subject, role=role, stated=False).delete()[0] > 0
