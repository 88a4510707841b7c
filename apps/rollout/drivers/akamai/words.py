"""What a refusal of Akamai's means for whoever set the connection up, in plain words, with Akamai's own behind them."""

from __future__ import annotations

import json

from apps.rollout.drivers.base import VendorError

MOST_WORDS = 200
CLOCK = "Akamai refuses the time of the signature: this machine's clock is more than 30 seconds off. Set it by NTP."
CREDENTIAL = (
    "Akamai does not accept the credential: it ran out, was revoked, or was copied wrongly. Make a new one for the API"
    " client and replace it here."
)
GRANT = "The API client lacks the grant. In Akamai's Control Center, give it access to this API, for this group."
NO_ANSWER = "Akamai did not answer in time."
NO_CONNECTION = "No connection to Akamai could be made. Look at the host, the network and a proxy in between."
NOT_JSON = "The answer was not JSON, so something else than Akamai's API may have given it, such as a proxy."
NOT_THERE = "Akamai has nothing at this address: the product may not be on the contract."
THROTTLED = "Akamai takes no more calls just now. Try again in some minutes."
THEIR_FAULT = "Akamai had an error of its own. Try again."
ODD = "The answer has another shape than the one that is documented."

_STANDING = {
    "PRESUBMIT": "taken in and not begun",
    "NEW": "taken in and not begun",
    "PENDING": "taken in and waits its turn",
    "IN_PROGRESS": "spreading",
    "ZONE_1": "spreading, in the first of three zones",
    "ZONE_2": "spreading, in the second of three zones",
    "ZONE_3": "spreading, in the last of three zones",
}

_BY_STATUS = {401: CREDENTIAL, 403: GRANT, 404: NOT_THERE, 429: THROTTLED}


def standing(status: str) -> str:
    """How far an activation is, with Akamai's own word behind it."""
    return f"{_STANDING[status]} ({status})" if status in _STANDING else status


def explain(error: VendorError) -> str:
    """The meaning, then what Akamai said, if it said anything."""
    said = own_words(error)
    meaning = _meaning(error, said)
    return f"{meaning} Akamai: {said}" if said and error.status else meaning


def _meaning(error: VendorError, said: str) -> str:
    if error.kind == "odd_answer":
        return ODD
    if error.status == 0:
        return NO_ANSWER if "timed out" in error.text.lower() else NO_CONNECTION
    if error.status in (400, 401) and "timestamp" in said.lower():
        return CLOCK
    if error.status < 300:
        return NOT_JSON
    if error.status >= 500:
        return THEIR_FAULT
    return _BY_STATUS.get(error.status, f"Akamai refused the call ({error.status}).")


def own_words(error: VendorError) -> str:
    """The detail of a problem document, or the beginning of whatever came."""
    try:
        body = json.loads(error.text)
    except ValueError:
        return " ".join(error.text.split())[:MOST_WORDS]
    if not isinstance(body, dict):
        return ""
    return str(body.get("detail") or body.get("title") or "")[:MOST_WORDS]
