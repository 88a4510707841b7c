"""Signing in at an OpenID provider. The library walks the flow; every check and every decision is ours."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from apps.audit.errors import Refusal
from apps.identity import services
from apps.identity.models import User
from apps.identity.verification import (
    Expectation,
    ProviderKeys,
    TokenRefused,
    algorithm_of,
    check_access_token,
    verify,
)

log = logging.getLogger(__name__)

TITLE = "Signing in did not work"


@cache
def _keys(url: str) -> ProviderKeys:
    return ProviderKeys(url, timeout=settings.OIDC_TIMEOUT)


class ProviderBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Believes an ID token only after ``verification``, and knows people by issuer and subject, never by e-mail."""

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        expected = Expectation(
            issuer=settings.OIDC_OP_ISSUER,
            audience=settings.OIDC_RP_CLIENT_ID,
            algorithms=settings.OIDC_ALGORITHMS,
            nonce=kwargs.get("nonce") or "",
        )
        at = int(timezone.now().timestamp())
        return verify(token or "", expected=expected, keys=_keys(settings.OIDC_OP_JWKS_ENDPOINT), at=at)

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User:
        check_access_token(payload, access_token, algorithm_of(id_token))
        claims = payload | self._userinfo(access_token, id_token, payload)
        at = timezone.now()
        subject = services.person_for_login(
            issuer=payload["iss"],
            sub=payload["sub"],
            claims=claims,
            create=settings.SALLYPORT_OIDC_CREATE_PEOPLE,
            at=at,
        )
        return services.note_sign_in(subject=subject, way="oidc", at=at)

    def _userinfo(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What the userinfo endpoint adds. It must speak of the same subject, or it was given another token."""
        if not settings.OIDC_OP_USER_ENDPOINT:
            return {}
        found = self.get_userinfo(access_token, id_token, payload)
        if not isinstance(found, dict) or found.get("sub") != payload["sub"]:
            raise TokenRefused("The userinfo endpoint speaks of somebody else.")
        return found

    def get_user(self, user_id: int) -> User | None:
        """As Django does it: a suspended user has no session."""
        return ModelBackend.get_user(self, user_id)


class SignInView(OIDCAuthenticationRequestView):  # type: ignore[misc]  # the library has no types
    """Off to the provider."""

    def get(self, request: HttpRequest) -> HttpResponse:
        _require_provider()
        answer: HttpResponse = super().get(request)
        return answer


class CallbackView(OIDCAuthenticationCallbackView):  # type: ignore[misc]  # the library has no types
    """Back from the provider. Whatever goes wrong there or here ends on a page that says so, never in a fault."""

    def get(self, request: HttpRequest) -> HttpResponse:
        _require_provider()
        try:
            self._check_sender(request)
            answer: HttpResponse = super().get(request)
        except Refusal as refusal:
            return self._refuse(refusal.status, refusal.message)
        except (TokenRefused, SuspiciousOperation) as error:
            log.warning("Sign-in refused: %s", error)
            return self._refuse(403, "Your identity provider's answer could not be trusted. Please start again.")
        except (requests.RequestException, ValueError) as error:
            log.warning("Sign-in failed: the provider does not answer: %s", type(error).__name__)
            return self._refuse(502, "Your identity provider does not answer. Please try again in a moment.")
        return answer

    def _check_sender(self, request: HttpRequest) -> None:
        """RFC 9207: a provider that names itself must be the one the person was sent to."""
        if request.GET.get("iss", settings.OIDC_OP_ISSUER) != settings.OIDC_OP_ISSUER:
            raise TokenRefused(f"the answer comes from {request.GET['iss']!r}")

    def login_failure(self) -> HttpResponse:
        return self._refuse(403, "Your identity provider did not sign you in. Please start again.")

    def _refuse(self, status: int, detail: str) -> HttpResponse:
        context = {"title": TITLE, "detail": detail, "status": status}
        return render(self.request, "errors/refused.html", context, status=status)


def _require_provider() -> None:
    if not settings.OIDC_RP_CLIENT_ID:
        raise Http404("No identity provider is configured.")
