"""The one kind of anticipated failure. Every app's refusals derive from it, so that pages and API answer alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class Refusal(Exception):
    """Something was asked that may not be done. Subclasses are named for what was refused.

    ``code`` is stable and dotted or snake case, ``message`` is a plain sentence for whoever asked, ``status`` the HTTP
    answer. ``fields`` maps an input's name to its complaints; ``extra`` holds facts a client may act on.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 409
    default_message: ClassVar[str] = "This cannot be done."

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Mapping[str, list[str]] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.fields: dict[str, list[str]] = dict(fields or {})
        self.extra: dict[str, object] = dict(extra or {})
        super().__init__(self.message)


class NotFound(Refusal):
    """Also raised for what the asker may not know exists."""

    code = "not_found"
    status = 404
    default_message = "There is no such thing, or you may not see it."


class NotAllowed(Refusal):
    code = "not_allowed"
    status = 403
    default_message = "You may not do this."


class InvalidInput(Refusal):
    code = "invalid_input"
    status = 422
    default_message = "Some of the input is not right."
