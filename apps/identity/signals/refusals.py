"""What the doors of signals refuse. A sender learns no more than it needs to do better."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed


class UnknownSender(NotAllowed):
    """One answer for an unknown provider, a wrong secret and a token that proves nothing."""

    code = "unknown_sender"
    status = 401
    default_message = "The credentials are missing, unknown, revoked or expired."


class SignalReplayed(NotAllowed):
    code = "signal_replayed"
    status = 401
    default_message = "This token was used before. Sign a new one."


class BadSignal(InvalidInput):
    code = "bad_signal"
    status = 400
    default_message = "The body is not what this address expects."


class SignalTooLarge(InvalidInput):
    code = "signal_too_large"
    status = 413
    default_message = "Send less at once."


class PersonNotNamed(InvalidInput):
    """An e-mail address is no identity: whoever has somebody's address is not them."""

    code = "person_not_named"
    default_message = (
        "People are found by issuer and subject, never by e-mail. "
        "Switch provisioning on for this app, so that iss_sub is sent. Nothing was ended."
    )


class InvalidSource(InvalidInput):
    code = "invalid_signal_source"
    default_message = "This does not describe who signs events."
