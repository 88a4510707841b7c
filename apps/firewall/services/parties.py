"""Saying which outside party calls from the addresses of a line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from apps.access.services import NewParty
from apps.firewall.services.lines import choose, held_line
from apps.firewall.services.storing import reread
from apps.identity import services as identities

if TYPE_CHECKING:
    from apps.identity.models import Subject


def name_party(*, public_id: str, number: int, party: NewParty, actor: Subject, at: datetime) -> None:
    """Make the party known, or find it, and take it as the source of the line. Raises what makes no sense about it."""
    with transaction.atomic():
        request, line = held_line(public_id, number, actor)
        made = identities.register_party(
            actor=actor, name=party.name, contact=party.contact, purpose=party.purpose, team_key=party.team, at=at
        )
        reread(request, [line], at=at)
        choose(public_id=public_id, number=number, side="source", key=made.key, actor=actor, at=at)
