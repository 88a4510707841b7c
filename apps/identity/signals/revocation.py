"""Okta's Universal Logout, which is Global Token Revocation (draft-parecki-oauth-global-token-revocation).

It asks that somebody proves again who they are: sessions end and API tokens are revoked. It does not say that the
person left, so nobody is suspended and no access ends. Edge tokens given out before work until their five minutes end.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.audit.errors import Refusal
from apps.identity import senders, services
from apps.identity.errors import UnknownSubject
from apps.identity.models import Provider, SignalAction, SignalChannel, SignalOutcome
from apps.identity.services import Told
from apps.identity.signals.believing import believe
from apps.identity.signals.reading import bearer_of, inside, moment_of, problem, read_body, read_object, word
from apps.identity.signals.refusals import BadSignal, PersonNotNamed, UnknownSender
from apps.identity.verification import Expectation, TokenRefused

log = logging.getLogger(__name__)

KIND = "global-token-revocation"
MOST_BYTES = 16 * 1024


@csrf_exempt
@login_not_required
@require_POST
def global_token_revocation(request: HttpRequest, slug: str) -> HttpResponse:
    """204 when it is done, 400 malformed, 401 not believed, 404 nobody we know, 422 not named in a way we accept."""
    try:
        _revoke(request, slug)
    except Refusal as refusal:
        return problem(refusal)
    return HttpResponse(status=204)


def _revoke(request: HttpRequest, slug: str) -> None:
    at = timezone.now()  # noqa: TID251 - an interface
    provider = senders.find_provider(slug)
    if provider is None:
        raise UnknownSender
    claims = _believed(bearer_of(request), provider, at)
    named = inside(read_object(read_body(request, most=MOST_BYTES)), "sub_id")
    told = _told(claims, named)
    if word(named, "format") == "email":
        services.refuse(provider=provider, channel=SignalChannel.REVOCATION, told=told, at=at)
        raise PersonNotNamed
    done = services.answer_at_once(provider=provider, channel=SignalChannel.REVOCATION, told=told, at=at)
    if done.outcome == SignalOutcome.NOBODY:
        raise UnknownSubject


def _believed(token: str, provider: Provider, at: datetime) -> Mapping[str, object]:
    expected = Expectation(
        issuer=provider.issuer,
        audience=address_of(provider),
        algorithms=provider.algorithms,
        types={"global-token-revocation+jwt"},
    )
    try:
        claims = believe(token, expected=expected, jwks_uri=word(provider.endpoints, "jwks_uri", longest=500), at=at)
    except TokenRefused as error:
        log.warning("Universal Logout of %s refused: %s", provider.slug, error)
        raise UnknownSender from error
    if not hmac.compare_digest(word(claims, "sub").encode(), provider.client_id.encode()) or not word(claims, "jti"):
        raise UnknownSender
    return claims


def address_of(provider: Provider) -> str:
    """What the sender must have meant: this address, as people configure it there."""
    return f"{settings.SALLYPORT_URL}{reverse('signals-global-token-revocation', args=[provider.slug])}"


def _told(claims: Mapping[str, object], named: Mapping[str, object]) -> Told:
    fields = {"iss_sub": ("iss", "sub"), "email": ("email",)}.get(word(named, "format"))
    if fields is None or not all(word(named, field) for field in fields):
        raise BadSignal("sub_id is missing, incomplete, or of another format than iss_sub.")
    return Told(
        identifier=word(claims, "jti"),
        kind=KIND,
        action=SignalAction.SIGN_OUT,
        issuer=word(named, "iss", longest=300),
        sub=word(named, "sub"),
        happened_at=moment_of(claims.get("iat")),
    )
