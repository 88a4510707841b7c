"""Okta's event hooks, as its documentation of event hooks and of the System Log describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from apps.identity.models import SignalAction
from apps.identity.services import Told
from apps.identity.signals.reading import inside, moment_of, word
from apps.identity.signals.refusals import BadSignal

MOST_EVENTS = 1000
ACTIONS = {
    "user.lifecycle.deactivate": SignalAction.LEAVE,
    "user.lifecycle.suspend": SignalAction.LEAVE,
    "user.lifecycle.delete.initiated": SignalAction.LEAVE,
    "user.session.clear": SignalAction.END_SESSIONS,
    "user.authentication.universal_logout": SignalAction.END_SESSIONS,
    "user.session.end": SignalAction.END_SESSIONS,
    "user.lifecycle.activate": SignalAction.NOTE,
    "user.lifecycle.reactivate": SignalAction.NOTE,
    "user.lifecycle.unsuspend": SignalAction.NOTE,
}
"""Coming back is only noted: a hook has no signature, so it may take away at once but never give."""

BY_THEMSELVES = "user.session.end"
"""Signing out has the person as its actor and often nobody as its target."""


def read_events(document: Mapping[str, object], *, issuer: str) -> list[Told]:
    """The events in a delivery that mean something here. Raises BadSignal for what is no delivery.

    Okta does not send again what was answered with a 4xx, so one odd event must not cost the others.
    """
    events = inside(document, "data").get("events")
    if not isinstance(events, list):
        raise BadSignal("The body has no data.events.")
    if len(events) > MOST_EVENTS:
        raise BadSignal(f"More than {MOST_EVENTS} events at once.")
    return list(_told(events, issuer))


def _told(events: list[object], issuer: str) -> Iterator[Told]:
    for event in events:
        kind, identifier = word(event, "eventType"), word(event, "uuid")
        succeeded = word(inside(event, "outcome"), "result") == "SUCCESS"
        if kind not in ACTIONS or not identifier or not succeeded or not isinstance(event, Mapping):
            continue
        yield Told(
            identifier=identifier,
            kind=kind,
            action=ACTIONS[kind],
            issuer=issuer,
            sub=_whom(event, kind),
            happened_at=moment_of(event.get("published")),
        )


def _whom(event: Mapping[str, object], kind: str) -> str:
    """Okta's immutable id of the user: what its ID tokens have as ``sub``."""
    targets = event.get("target")
    for target in targets if isinstance(targets, list) else []:
        if word(target, "type") == "User":
            return word(target, "id")
    actor = inside(event, "actor")
    return word(actor, "id") if kind == BY_THEMSELVES and word(actor, "type") == "User" else ""
