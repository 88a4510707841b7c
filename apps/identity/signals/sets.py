"""Security Event Tokens (RFC 8417) of Shared Signals: CAEP and RISC, in the specification's layout and in Okta's.

CAEP names its subject once, at the top, and counts in seconds. Okta names it inside of the event and counts in
milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.identity.models import SignalAction
from apps.identity.services import Told
from apps.identity.signals.reading import inside, moment_of, word
from apps.identity.signals.refusals import BadSignal

BASE = "https://schemas.openid.net/secevent/"
ACTIONS = {
    f"{BASE}caep/event-type/session-revoked": SignalAction.END_SESSIONS,
    f"{BASE}caep/event-type/credential-change": SignalAction.END_SESSIONS,
    f"{BASE}risc/event-type/sessions-revoked": SignalAction.END_SESSIONS,
    f"{BASE}risc/event-type/credential-compromise": SignalAction.END_SESSIONS,
    f"{BASE}risc/event-type/account-disabled": SignalAction.LEAVE,
    f"{BASE}risc/event-type/account-purged": SignalAction.LEAVE,
}
"""Everything else a transmitter sends is noted, its verification event among it."""

STRENGTH = (SignalAction.NOTE, SignalAction.END_SESSIONS, SignalAction.LEAVE)


def read_set(claims: Mapping[str, object]) -> Told:
    """Raises BadSignal for a token that tells of no event."""
    events, identifier = inside(claims, "events"), word(claims, "jti")
    if not events or not identifier:
        raise BadSignal("The token has no events or no jti.")
    uri = max(events, key=lambda one: STRENGTH.index(_action(one)))
    event = inside(events, uri)
    named = _named(claims, event)
    return Told(
        identifier=identifier,
        kind=_kind(uri),
        action=_action(uri),
        issuer=word(named, "iss", longest=300),
        sub=word(named, "sub"),
        happened_at=moment_of(event.get("event_timestamp", claims.get("iat"))),
    )


def _action(uri: str) -> SignalAction:
    return ACTIONS.get(uri, SignalAction.NOTE)


def _kind(uri: str) -> str:
    """``caep session-revoked`` for the long name; a stranger's name cut to what fits."""
    short = uri.removeprefix(BASE).replace("/event-type/", " ") if uri.startswith(BASE) else uri
    return short[:100] if short.isprintable() else "unreadable"


def _named(claims: Mapping[str, object], event: Mapping[str, object]) -> Mapping[str, object]:
    """The issuer and subject of the person, wherever they stand; nothing for any other way to name somebody."""
    for named in (inside(claims, "sub_id"), inside(event, "subject"), inside(event, "sub_id")):
        for one in (named, inside(named, "user")):
            if (word(one, "format") or word(one, "subject_type")) in {"iss_sub", "iss-sub"}:
                return one
    return {}
