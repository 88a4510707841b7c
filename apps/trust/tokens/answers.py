"""What the token endpoint says when it gives no token."""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.http import JsonResponse

_UNSPEAKABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class TokenError(Exception):
    """An answer of RFC 6749, section 5.2. The description is held to the characters it allows."""

    def __init__(self, error: str, description: str, status: int = 400, retry_after: int = 0) -> None:
        self.error, self.status, self.retry_after = error, status, retry_after
        self.description = _UNSPEAKABLE.sub("?", description)
        super().__init__(self.description)


def said(body: Mapping[str, object], status: int = 200) -> JsonResponse:
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def refused(error: TokenError) -> JsonResponse:
    answer = said({"error": error.error, "error_description": error.description}, error.status)
    if error.retry_after:
        answer["Retry-After"] = str(error.retry_after)
    return answer
