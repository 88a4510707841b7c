"""How lately whoever is behind a browser session has proved who they are, for what an old session is not enough for.

Only sessions that came from a provider can be asked to prove it again: the demo's one click and the break-glass
password are proofs of their own kind. An API token proves that somebody has it, and is never fresh.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apps.identity.errors import StepUpNeeded
from apps.identity.models import SignIn
from apps.identity.providers.flows import Purpose


class Freshness:
    """Of one session. Asks the database once, and only when it is asked."""

    def __init__(self, session_key: str | None) -> None:
        self._session_key = session_key

    @cached_property
    def sign_in(self) -> SignIn | None:
        if not self._session_key:
            return None
        return SignIn.objects.select_related("provider").filter(session_key=self._session_key).first()

    def is_fresh(self, *, at: datetime, within: timedelta | None = None) -> bool:
        """Proved at most SALLYPORT_STEP_UP_SECONDS ago, and as strongly as the provider's row wants it."""
        sign_in = self.sign_in
        if sign_in is None or sign_in.provider is None:
            return True
        wanted = sign_in.provider.step_up_acr.split()
        if wanted and sign_in.acr not in wanted:
            return False
        limit = within or timedelta(seconds=settings.SALLYPORT_STEP_UP_SECONDS)
        return sign_in.authenticated_at is not None and at - limit <= sign_in.authenticated_at

    def step_up_url(self, back: str) -> str:
        """Where to sign in again and come ``back``; empty for a session that came from no provider."""
        if self.sign_in is None or self.sign_in.provider is None:
            return ""
        query = urlencode({"purpose": Purpose.STEP_UP, "next": back})
        return f"{reverse('oidc_authenticate', args=[self.sign_in.provider.slug])}?{query}"

    def obstacle(self) -> str:
        """Why signing in again may not help; empty when nothing is known against it."""
        sign_in = self.sign_in
        if sign_in is None or sign_in.provider is None or sign_in.authenticated_at is not None:
            return ""
        name = sign_in.provider.name
        return f"{name} did not say when you signed in. If it does not when asked either, you cannot approve this."

    def require(self, *, at: datetime, back: str, words: str) -> None:
        """Raises StepUpNeeded, which knows the way."""
        if not self.is_fresh(at=at):
            raise StepUpNeeded(words, extra={"step_up_url": self.step_up_url(back)})


def freshness_of(request: HttpRequest) -> Freshness | None:
    """None where there is no session, as for a program with an API token."""
    session = getattr(request, "session", None)
    return Freshness(session.session_key) if session is not None and session.session_key else None
