"""What is asked of the token endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import HttpRequest, QueryDict, RawPostDataException, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from apps.trust.tokens.answers import TokenError
from apps.trust.tokens.words import ACCESS_TOKEN, CLIENT_CREDENTIALS, GRANT_TYPE, JWT

LONGEST = 64 * 1024

Form = Mapping[str, str]


def read(request: HttpRequest) -> Form:
    """Each parameter once (RFC 6749, section 3.2); raises TokenError. A file is no parameter."""
    _require_small(request)
    try:
        sent: QueryDict = request.POST
        files = request.FILES
    except (BadRequest, MultiPartParserError, RawPostDataException, SuspiciousOperation, UnreadablePostError) as error:
        raise TokenError("invalid_request", "The form cannot be read.") from error
    twice = sorted(name for name, values in sent.lists() if len(values) > 1)
    if twice or files:
        raise TokenError("invalid_request", f"Sent more than once, or as a file: {', '.join([*twice, *files])[:100]}.")
    return _supported({name: str(sent[name]) for name in sent})


def _require_small(request: HttpRequest) -> None:
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if not length.isdigit() or int(length) > LONGEST:
        raise TokenError("invalid_request", f"A form of at most {LONGEST} bytes.", 413)


def _supported(form: Form) -> Form:
    kind = form.get("grant_type", "")
    if not kind:
        raise TokenError("invalid_request", "grant_type is missing.")
    if kind not in (GRANT_TYPE, CLIENT_CREDENTIALS):
        known = f"{GRANT_TYPE} and {CLIENT_CREDENTIALS}"
        raise TokenError("unsupported_grant_type", f"The grant types here are {known}.")
    if (form.get("requested_token_type") or ACCESS_TOKEN) not in (ACCESS_TOKEN, JWT):
        raise TokenError("invalid_request", "Only access tokens are issued here.")
    audience = form.get("audience", settings.SALLYPORT_EDGE_AUDIENCE)
    if audience != settings.SALLYPORT_EDGE_AUDIENCE:
        raise TokenError("invalid_target", f"Tokens are issued for {settings.SALLYPORT_EDGE_AUDIENCE} only.")
    if bool(form.get("actor_token")) != bool(form.get("actor_token_type")):
        raise TokenError("invalid_request", "actor_token and actor_token_type come together.")
    return form
