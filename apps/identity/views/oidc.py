"""Signing in at a provider: there and back, each provider at addresses of its own."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET

from apps.audit.errors import NotFound, Refusal
from apps.identity import selectors, services
from apps.identity.entering import enter
from apps.identity.errors import SomebodyElse, StepUpNeeded, UnknownProvider
from apps.identity.freshness import Freshness
from apps.identity.mapping.claims import set_claimed_groups
from apps.identity.models import Provider, Role, Subject
from apps.identity.pages import RoleNeeded, is_ours
from apps.identity.providers.away import begin
from apps.identity.providers.backend import ProviderBackend
from apps.identity.providers.claims import Proved
from apps.identity.providers.client_auth import NotAccepted
from apps.identity.providers.flows import Flow, Purpose, take
from apps.identity.providers.outgoing import Unreachable
from apps.identity.vault import WrongSecretsKey
from apps.identity.verification import TokenRefused
from apps.identity.views.trial import show_trial

log = logging.getLogger(__name__)

TITLE = "Signing in did not work"
NOT_TRUSTED = "Your identity provider's answer could not be trusted. Please start again."
SILENT = "Your identity provider does not answer. Please try again in a moment."
NOT_ACCEPTED = "Your identity provider does not accept this console. An administrator has to look at its set-up."

NO_TIME = (
    "{name} did not say when you signed in, although it was asked and must say so then. Such a sign-in cannot count as "
    "fresh, so with {name} nobody can approve for sensitive services or link a sign-in. Somebody who signs in "
    "elsewhere can, and denying needs no fresh sign-in."
)


@never_cache
@require_GET
def authenticate(request: HttpRequest, slug: str) -> HttpResponse:
    """Off to the provider: to sign in, to prove it again, or for an administrator's trial."""
    purpose = _purpose(request)
    provider = _usable(slug, purpose)
    viewer: Subject | None = getattr(request, "subject", None)
    if purpose == Purpose.TRIAL and (viewer is None or not selectors.has_role(viewer, Role.ADMINISTRATOR)):
        raise RoleNeeded("A trial sign-in is for administrators.")
    if purpose == Purpose.STEP_UP and viewer is None:
        purpose = Purpose.SIGN_IN
    again = purpose == Purpose.STEP_UP
    flow = Flow(
        provider=slug,
        purpose=purpose,
        target=_target(request),
        begun_at=int(timezone.now().timestamp()),
        max_age=settings.SALLYPORT_STEP_UP_SECONDS if again or purpose == Purpose.TRIAL else None,
        acr=provider.step_up_acr if again else "",
    )
    return redirect(begin(request, provider, flow))


def _purpose(request: HttpRequest) -> Purpose:
    """A link is begun by a form only: an address that begins one could be slipped to somebody."""
    wish = request.GET.get("purpose", "")
    return Purpose(wish) if wish in {Purpose.STEP_UP, Purpose.TRIAL} else Purpose.SIGN_IN


def _usable(slug: str, purpose: Purpose) -> Provider:
    """Trials are for providers that are not switched on yet."""
    provider = selectors.get_provider(slug)
    if provider.discovered_at is None or not (provider.enabled or purpose == Purpose.TRIAL):
        raise UnknownProvider
    return provider


def _target(request: HttpRequest) -> str:
    wish = request.GET.get("next") or "/"
    return wish if is_ours(request, wish) else "/"


@never_cache
@require_GET
@sensitive_variables()
def callback(request: HttpRequest, slug: str) -> HttpResponse:
    """Back from the provider. Whatever goes wrong there or here ends on a page that says so, never in a fault."""
    provider, at = selectors.get_provider(slug), timezone.now()
    flow: Flow | None = None
    try:
        flow = take(request.session, request.GET.get("state", ""), provider, at=at)
        _usable(slug, flow.purpose)
        _check_sender(request, provider)
        if "error" in request.GET or not request.GET.get("code"):
            return _refuse(request, 403, _not_signed_in(request))
        proved = _exchange(request, provider, flow, at)
        return _finish(request, flow, proved, at)
    except Refusal as refusal:
        return _refuse(request, refusal.status, refusal.message)
    except TokenRefused as error:
        log.warning("Sign-in at %s refused: %s", slug, error)
        return _refuse(request, 403, NOT_TRUSTED, _said_to(flow, error))
    except (Unreachable, WrongSecretsKey) as error:
        log.warning("Sign-in at %s failed: %s", slug, error)
        words = NOT_ACCEPTED if isinstance(error, NotAccepted | WrongSecretsKey) else SILENT
        return _refuse(request, 502, words, _said_to(flow, error))


def _said_to(flow: Flow | None, error: Exception) -> str:
    """Whoever tries the set-up out is told exactly; everybody else would learn too much."""
    return str(error) if flow is not None and flow.purpose == Purpose.TRIAL else ""


def _not_signed_in(request: HttpRequest) -> str:
    """The codes of RFC 6749, section 4.1.2.1, and OpenID Connect Core, section 3.1.2.6, are all we repeat."""
    code = request.GET.get("error", "")
    said = f" It says: {code}." if code.isascii() and code.replace("_", "").isalnum() and len(code) <= 60 else ""
    return f"Your identity provider did not sign you in.{said} Please start again."


def _check_sender(request: HttpRequest, provider: Provider) -> None:
    """RFC 9207: a provider that names itself must be the one the person was sent to; one that said it would, must."""
    said = request.GET.get("iss")
    promised = provider.endpoints.get("authorization_response_iss_parameter_supported") is True
    if said is None and promised:
        raise TokenRefused("The answer does not say whose it is, as this provider's do.")
    if said is not None and said != provider.issuer:
        raise TokenRefused(f"The answer comes from {said!r}.")


def _exchange(request: HttpRequest, provider: Provider, flow: Flow, at: datetime) -> Proved:
    backend = ProviderBackend(provider, at=at)
    proved = backend.authenticate(request, nonce=flow.nonce, code_verifier=flow.code_verifier)
    if not isinstance(proved, Proved):
        raise TokenRefused("The provider gave no token.")
    return proved


def _finish(request: HttpRequest, flow: Flow, proved: Proved, at: datetime) -> HttpResponse:
    """A refresh token for which no session began is given back."""
    try:
        if flow.purpose != Purpose.TRIAL:
            _require_recent(proved, flow, at)
        return ENDS[flow.purpose](request, flow, proved, at)
    except Refusal:
        services.give_back(provider=proved.provider, token=proved.refresh_token, at=at)
        raise


def _require_recent(proved: Proved, flow: Flow, at: datetime) -> None:
    """What was asked with max_age and acr_values is checked: asking is not getting.

    Whoever is asked with max_age must say auth_time (OpenID Connect Core, section 2): without it nothing is known.
    """
    if flow.max_age is not None:
        since = proved.authenticated_at
        if since is None:
            raise StepUpNeeded(NO_TIME.format(name=proved.provider.name))
        if since < at - timedelta(seconds=flow.max_age + 60):
            raise StepUpNeeded("Your identity provider did not make you sign in again: that cannot count as fresh.")
    if flow.acr and proved.acr not in flow.acr.split():
        raise StepUpNeeded("Your identity provider signed you in less strongly than this needs.")


def _person(proved: Proved, at: datetime) -> Subject:
    """Who it is; the groups the token gives them count from now on. One that says nothing of groups changes none."""
    person = services.person_for_login(
        issuer=proved.issuer,
        sub=proved.subject,
        claims=proved.claims,
        create=proved.provider.creates_people,
        at=at,
    )
    set_claimed_groups(provider=proved.provider, subject=person, names=proved.groups.known, at=at)
    return person


def _end_sign_in(request: HttpRequest, flow: Flow, proved: Proved, at: datetime) -> HttpResponse:
    enter(request, _person(proved, at), way="oidc", at=at, proved=proved)
    return redirect(flow.target)


def _end_step_up(request: HttpRequest, flow: Flow, proved: Proved, at: datetime) -> HttpResponse:
    """The session goes on only as the same person."""
    owner = selectors.find_by_login(issuer=proved.issuer, sub=proved.subject)
    if owner is None or owner != getattr(request, "subject", None):
        raise SomebodyElse
    enter(request, _person(proved, at), way="oidc", at=at, proved=proved)
    return redirect(flow.target)


def _end_link(request: HttpRequest, flow: Flow, proved: Proved, at: datetime) -> HttpResponse:
    """The session stays what it was; its person has one more way to sign in."""
    viewer: Subject | None = getattr(request, "subject", None)
    if viewer is None:
        raise NotFound
    own = Freshness(request.session.session_key).sign_in
    services.link_own_login(
        issuer=proved.issuer,
        sub=proved.subject,
        subject_key=viewer.key,
        proved_here_at=own.authenticated_at if own else None,
        proved_there_at=proved.authenticated_at,
        actor=viewer.actor,
        at=at,
    )
    messages.success(request, f"From now on you can also sign in with {proved.provider.name}.")
    return redirect(flow.target)


def _end_trial(request: HttpRequest, flow: Flow, proved: Proved, at: datetime) -> HttpResponse:
    viewer: Subject | None = getattr(request, "subject", None)
    if viewer is None or not selectors.has_role(viewer, Role.ADMINISTRATOR):
        raise RoleNeeded("A trial sign-in is for administrators.")
    services.give_back(provider=proved.provider, token=proved.refresh_token, at=at)
    return show_trial(request, proved)


ENDS = {
    Purpose.SIGN_IN: _end_sign_in,
    Purpose.STEP_UP: _end_step_up,
    Purpose.LINK: _end_link,
    Purpose.TRIAL: _end_trial,
}


def _refuse(request: HttpRequest, status: int, detail: str, exactly: str = "") -> HttpResponse:
    context = {"title": TITLE, "detail": f"{detail} {exactly}".strip(), "status": status}
    return render(request, "errors/refused.html", context, status=status)
