"""The closed set of reasons shared by decide(), the edge, the mesh and the console, each with its words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    GRANTED = "granted"
    # who are you (401)
    NO_TOKEN = "no_token"  # noqa: S105 - a reason, not a secret
    DUPLICATE_TOKEN = "duplicate_token"  # noqa: S105 - a reason, not a secret
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a reason, not a secret
    BAD_ALGORITHM = "bad_algorithm"
    BAD_TYPE = "bad_type"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a reason, not a secret
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"  # noqa: S105 - a reason, not a secret
    MISSING_CLAIM = "missing_claim"
    OTHER_BROWSER = "other_browser"
    BAD_CLIENT_CERTIFICATE = "bad_client_certificate"
    UNKNOWN_WORKLOAD = "unknown_workload"
    EDGE_TOKEN_ABSENT = "edge_token_absent"  # noqa: S105 - a reason, not a secret
    SERVICE_MISMATCH = "service_mismatch"
    UNKNOWN_SUBJECT = "unknown_subject"
    SUBJECT_REVOKED = "subject_revoked"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - a reason, not a secret
    CROSS_SITE = "cross_site"
    SIGN_IN = "sign_in"
    # what do you want (403, 404, 400)
    BAD_PATH = "bad_path"
    NO_SERVICE = "no_service"
    NO_ROUTE = "no_route"
    GUARDRAIL = "guardrail"
    NO_GRANT = "no_grant"
    GRANT_NOT_STARTED = "grant_not_started"
    GRANT_EXPIRED = "grant_expired"
    RATE_LIMITED = "rate_limited"
    BUDGET_SPENT = "budget_spent"
    # not now (503)
    BREAKER_OPEN = "breaker_open"
    # we cannot tell (503)
    POLICY_UNAVAILABLE = "policy_unavailable"


@dataclass(frozen=True, slots=True)
class ReasonText:
    """``status`` is the HTTP answer an enforcer gives; ``sentence`` and ``next_step`` are for whoever was refused."""

    status: int
    sentence: str
    next_step: str


_SIGN_IN = "Get a fresh edge token from the console and try again."
_ASK = "Ask for it: the link opens a request that is already filled in."
_OPERATOR = "Tell an operator; the request id shows them which part disagrees."

TEXTS: dict[Reason, ReasonText] = {
    Reason.GRANTED: ReasonText(200, "Allowed by a grant.", "Nothing to do."),
    Reason.NO_TOKEN: ReasonText(401, "No edge token came with this call.", "Send it as 'Authorization: Bearer'."),
    Reason.DUPLICATE_TOKEN: ReasonText(401, "More than one token came with this call.", "Send exactly one."),
    Reason.MALFORMED_TOKEN: ReasonText(401, "The token is not a token we can read.", _SIGN_IN),
    Reason.BAD_ALGORITHM: ReasonText(401, "The token is signed in a way we do not accept.", _SIGN_IN),
    Reason.BAD_TYPE: ReasonText(401, "This is another kind of token.", _SIGN_IN),
    Reason.UNKNOWN_KEY: ReasonText(401, "The token was signed with a key this door does not know.", _SIGN_IN),
    Reason.BAD_SIGNATURE: ReasonText(401, "The token's signature is not right.", _SIGN_IN),
    Reason.WRONG_ISSUER: ReasonText(401, "The token comes from somebody this door does not trust.", _SIGN_IN),
    Reason.WRONG_AUDIENCE: ReasonText(401, "The token is meant for another place.", _SIGN_IN),
    Reason.EXPIRED_TOKEN: ReasonText(401, "The token has run out; it lives for five minutes.", _SIGN_IN),
    Reason.TOKEN_NOT_YET_VALID: ReasonText(401, "The token is not valid yet.", "Check this machine's clock."),
    Reason.MISSING_CLAIM: ReasonText(401, "The token lacks something this door needs.", _SIGN_IN),
    Reason.OTHER_BROWSER: ReasonText(
        401,
        "This session was begun in another browser, or this one keeps no cookies.",
        "Allow cookies and sign in here.",
    ),
    Reason.BAD_CLIENT_CERTIFICATE: ReasonText(403, "The caller's certificate is missing or not ours.", _OPERATOR),
    Reason.UNKNOWN_WORKLOAD: ReasonText(403, "The caller's certificate names no workload we know.", _OPERATOR),
    Reason.EDGE_TOKEN_ABSENT: ReasonText(403, "The call did not come through the edge door.", "Call the edge address."),
    Reason.SERVICE_MISMATCH: ReasonText(403, "The edge opened another service than the one called.", _OPERATOR),
    Reason.UNKNOWN_SUBJECT: ReasonText(403, "This identity is unknown here or suspended.", _OPERATOR),
    Reason.SUBJECT_REVOKED: ReasonText(
        403, "This identity, or whoever answers for it, was suspended.", "Talk to security or an administrator."
    ),
    Reason.TOKEN_REVOKED: ReasonText(
        401, "The tokens given out to this identity before were revoked.", "Sign in again and get a fresh edge token."
    ),
    Reason.CROSS_SITE: ReasonText(
        403,
        "This call came with a session, but not from a page of this address.",
        "Open the service itself and send it from there, or send an edge token.",
    ),
    Reason.SIGN_IN: ReasonText(303, "This was about signing in or out here; no service was called.", "Nothing to do."),
    Reason.BAD_PATH: ReasonText(400, "The path can be read in two ways, so it is refused.", "Send a plain path."),
    Reason.NO_SERVICE: ReasonText(404, "No service answers at this address.", "Look in the catalogue."),
    Reason.NO_ROUTE: ReasonText(404, "The service has no such method and path.", "See its routes in the catalogue."),
    Reason.GUARDRAIL: ReasonText(403, "A guardrail forbids this, whatever is granted.", "Talk to security."),
    Reason.NO_GRANT: ReasonText(403, "Nobody has opened this to you.", _ASK),
    Reason.GRANT_NOT_STARTED: ReasonText(403, "Your access has not started yet.", "Wait for its start."),
    Reason.GRANT_EXPIRED: ReasonText(403, "Your access has ended.", _ASK),
    Reason.RATE_LIMITED: ReasonText(429, "Too many calls.", "Slow down and try again."),
    Reason.BUDGET_SPENT: ReasonText(
        429,
        "This agent's calls of the day are used up.",
        "Wait for midnight UTC, or ask its owner for a larger budget.",
    ),
    Reason.BREAKER_OPEN: ReasonText(
        503, "The service failed too often, so it is left alone for a moment.", "Wait the seconds in Retry-After."
    ),
    Reason.POLICY_UNAVAILABLE: ReasonText(503, "This door cannot read its policy, so it stays closed.", "Try again."),
}
