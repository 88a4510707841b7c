"""Who calls the REST API: a program with an API token, or a browser with a session (and then CSRF applies)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.audit.errors import Refusal
from apps.identity.models import ApiToken, Scope, User
from apps.identity.nearby import read_once
from apps.identity.services import authenticate_api_token

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module, because the settings name it


class BearerTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer sp_...``. Sets ``request.subject`` like the session middleware does for browsers."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, plain = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            at = timezone.now()  # noqa: TID251 - an interface, to which DRF gives nothing but the request
            token = authenticate_api_token(plain.strip(), at=at)
        except Refusal as refusal:
            raise AuthenticationFailed(refusal.message, code=refusal.code) from refusal
        read_once(token.subject, token.held_roles)  # type: ignore[attr-defined]  # annotated by the service
        request._request.subject = token.subject  # type: ignore[attr-defined]  # added by SubjectMiddleware
        return token.subject.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="sallyport"'


class TokenScope(BasePermission):
    """An API token reads with "read" and does anything else with "write". A session is not limited.

    A view whose POST only asks a question says ``token_scope = Scope.READ``.
    """

    message = "This API token lacks the scope for that."
    code = "missing_scope"

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        usual = Scope.READ if request.method in SAFE_METHODS else Scope.WRITE
        return getattr(view, "token_scope", usual) in request.auth.scopes


class BearerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its base is untyped
    """How the OpenAPI document describes API tokens. Registered by being defined."""

    target_class = BearerTokenAuthentication
    name = "apiToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, made on the settings page."}
