"""Where Shared Signals are pushed (RFC 8935): 202 when taken, 400 with ``err`` and ``description`` when not."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.audit.errors import Refusal
from apps.identity import senders, services
from apps.identity.models import SignalChannel, SignalSource
from apps.identity.signals.believing import believe
from apps.identity.signals.reading import read_body, read_object, word
from apps.identity.signals.refusals import BadSignal
from apps.identity.signals.sets import read_set
from apps.identity.verification import Expectation, TokenRefused

log = logging.getLogger(__name__)

MOST_BYTES = 32 * 1024
OLDEST = 7 * 24 * 3600
"""A transmitter delivers again for days after we were down. A token that was taken is known for longer than that."""


@csrf_exempt
@login_not_required
@require_POST
def events(request: HttpRequest, slug: str) -> HttpResponse:
    """Answered when it is written down; acted on right after."""
    at = timezone.now()  # noqa: TID251 - an interface
    source = senders.find_signal_source(slug)
    if source is None:
        return _refused("access_denied", "No transmitter is set up at this address.")
    expected = Expectation(
        issuer=source.issuer,
        audience=source.audience,
        algorithms=source.algorithms,
        types={"secevent+jwt"},
        has_subject=False,
        has_end=False,
        for_several=True,
        oldest=OLDEST,
    )
    token = ""
    try:
        token = read_body(request, most=MOST_BYTES).decode("ascii", "replace").strip()
        told = read_set(believe(token, expected=expected, jwks_uri=source.jwks_uri, at=at))
    except Refusal as refusal:
        return _refused("invalid_request", refusal.message)
    except TokenRefused as error:
        log.warning("Shared signal at %s refused: %s", slug, error)
        return _refused(*_complaint(token, source))
    services.receive(provider=source.provider, channel=SignalChannel.SHARED, told=[told], at=at)
    return HttpResponse(status=202)


def _complaint(token: str, source: SignalSource) -> tuple[str, str]:
    """The code of RFC 8935, section 2.4, for a token that was refused already: read for the sender's good only."""
    try:
        header, claims = _unproven(token, 0), _unproven(token, 1)
    except BadSignal:
        return "invalid_request", "The body is not a signed token."
    if word(claims, "iss", longest=300) != source.issuer:
        return "invalid_issuer", "Events of this issuer are not taken here."
    audience = claims.get("aud")
    if source.audience not in (audience if isinstance(audience, list) else [audience]):
        return "invalid_audience", "This was not meant for us."
    if word(header, "typ").lower().removeprefix("application/") != "secevent+jwt":
        return "invalid_request", "The token is not of the type secevent+jwt."
    return "invalid_key", "The signature, its key or the times of the token do not hold."


def _unproven(token: str, part: int) -> Mapping[str, object]:
    parts = token.split(".")
    if len(parts) != 3:
        raise BadSignal
    try:
        return read_object(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    except ValueError as error:
        raise BadSignal from error


def _refused(err: str, description: str) -> HttpResponse:
    return JsonResponse({"err": err, "description": description}, status=400)
