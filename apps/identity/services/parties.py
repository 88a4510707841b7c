"""Outside parties: firms that call from addresses of their own, each answered for by one of our teams.

A party is nobody who could sign in, hold a token or act for anybody. It is whom an address belongs to, and whom to ask.
"""

from __future__ import annotations

import re
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.text import slugify

from apps.identity import selectors
from apps.identity.errors import InvalidSubject, MayNotSponsor, PartyTaken
from apps.identity.models import Kind, Subject
from apps.identity.services.subjects import find_locked, upsert_subject

PURPOSE_LENGTH = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def register_party(*, actor: Subject, name: str, contact: str, purpose: str, team_key: str, at: datetime) -> Subject:
    """Make an outside party known, or find the one that ``team_key`` has under this name and keep its facts current.

    Only a person registers one, for a team it is in. Another team's party is not taken over.
    """
    clean = {"name": name.strip(), "contact": contact.strip(), "purpose": purpose.strip()}
    _require_sound(clean)
    team = _sponsoring(actor, team_key)
    key = f"party:{slugify(clean['name'])[:60].strip('-')}"
    with transaction.atomic():
        found = find_locked(key)
        if found is not None and found.team_id != team.pk:
            raise PartyTaken(fields={"name": [PartyTaken.default_message]})
        return upsert_subject(
            key=key,
            name=clean["name"],
            email=clean["contact"],
            team_key=team.key,
            purpose=clean["purpose"],
            actor=actor.actor,
            at=at,
        )


def _sponsoring(actor: Subject, team_key: str) -> Subject:
    """The team in whose name ``actor`` answers for an outside party; raises MayNotSponsor."""
    may = actor.kind == Kind.PERSON and actor.is_active
    found = next((team for team in selectors.teams_of(actor) if team.key == team_key), None) if may else None
    if found is None:
        raise MayNotSponsor
    return found


def _require_sound(given: dict[str, str]) -> None:
    fields: dict[str, list[str]] = {}
    if not slugify(given["name"]) or len(given["name"]) > 100 or _CONTROL.search(given["name"]):
        fields["name"] = ["Write the party's name: letters and figures, at most 100."]
    if not given["purpose"] or len(given["purpose"]) > PURPOSE_LENGTH or _CONTROL.search(given["purpose"]):
        fields["purpose"] = [f"Say in a line, of at most {PURPOSE_LENGTH} characters, what it is to us."]
    try:
        validate_email(given["contact"])
    except ValidationError:
        fields["contact"] = ["Write an e-mail address of somebody there who can be asked."]
    if fields:
        raise InvalidSubject("The outside party is not described well enough.", fields=fields)
