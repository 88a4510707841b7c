"""Who asks for a token, by whichever proof. Each way ends in a subject and a word for the tally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from apps.audit.errors import Refusal
from apps.identity import selectors as identity
from apps.identity.proofs import aws_sts, client_assertions, jwt_issuers
from apps.identity.proofs.outcome import ProofRefused, ProofUnavailable, Proven
from apps.identity.services.api_tokens import authenticate_api_token
from apps.trust.tokens.answers import TokenError
from apps.trust.tokens.form import Form
from apps.trust.tokens.words import (
    ACCESS_TOKEN,
    AWS_STS,
    CLIENT_CREDENTIALS,
    JWT,
    JWT_BEARER,
    SESSION,
    SUBJECT_TOKEN_TYPES,
)

SOON = 1
NOT_ITS_OWNER = "actor_not_allowed: an agent acts for its owner, or for whoever's own token names it in may_act."


class Asker(NamedTuple):
    """``client_id`` says how whoever takes the token proved itself: the actor, when one acts for the subject.

    ``may_act`` is the agent that the subject's own proof names, or empty.
    """

    subject: str
    client_id: str
    actor: str | None = None
    may_act: str = ""

    @property
    def taker(self) -> str:
        return self.actor or self.subject


class _CsrfCheck(CsrfViewMiddleware):
    """Django's own check, asked directly: this endpoint needs it for sessions only. Its answer is the complaint."""


def _guarded(request: HttpRequest) -> HttpResponse:
    """A view that is not exempt, as the check wants one."""
    return HttpResponse()


def asker(request: HttpRequest, form: Form, at: datetime) -> Asker:
    """Raises TokenError unless the form proves who sent it."""
    if form["grant_type"] == CLIENT_CREDENTIALS:
        _require_alone(form)
        return _from_assertion(form, at)
    subject = _from_subject(request, form, at)
    return _delegated(subject, form, at) if form.get("actor_token") else subject


def _require_alone(form: Form) -> None:
    if form.get("actor_token"):
        raise TokenError("invalid_request", "A client asks for itself; acting for somebody is a token exchange.")


def _from_subject(request: HttpRequest, form: Form, at: datetime) -> Asker:
    if form.get("subject_token_type") == SESSION:
        return _from_session(request)
    return _from_token("subject", form, at)


def _from_token(whose: str, form: Form, at: datetime) -> Asker:
    kind = form.get(f"{whose}_token_type", "")
    if kind not in _WAYS:
        known = [name for name in SUBJECT_TOKEN_TYPES if whose == "subject" or name != SESSION]
        raise TokenError("invalid_request", f"{whose}_token_type must be one of {', '.join(known)}.")
    if not form.get(f"{whose}_token"):
        raise TokenError("invalid_request", f"{whose}_token is missing.")
    return _WAYS[kind](form[f"{whose}_token"], at)


def _delegated(subject: Asker, form: Form, at: datetime) -> Asker:
    """An agent acts for its owner, or for whoever's proof names it (RFC 8693, sections 1.1 and 4.4).

    A proof of the subject alone does not do: whoever holds somebody's token could lend it to any agent.
    """
    lent = subject.may_act and subject.subject.startswith("workload:")
    if not (lent or subject.subject.startswith("person:")):
        raise TokenError("invalid_request", "An agent acts for a person; subject_token must be a person's.")
    acting = _from_token("actor", form, at)
    if not acting.subject.startswith("agent:"):
        raise TokenError("invalid_request", "Only an agent acts for somebody; actor_token must be an agent's.")
    if subject.may_act != acting.subject and not identity.is_owned_by(acting.subject, subject.subject):
        raise TokenError("invalid_grant", NOT_ITS_OWNER)
    return Asker(subject.subject, acting.client_id, acting.subject)


def _from_api_token(plain: str, at: datetime) -> Asker:
    try:
        found = authenticate_api_token(plain, at=at)
    except Refusal as refusal:
        raise TokenError("invalid_grant", refusal.message) from refusal
    if "edge" not in found.scopes:
        raise TokenError("invalid_scope", "This API token may not get edge tokens: it lacks the scope 'edge'.")
    return Asker(found.subject.key, f"token:{found.prefix}")


def _from_aws(token: str, at: datetime) -> Asker:
    return _proven("invalid_grant", lambda: aws_sts.prove(token, at=at))


def _from_jwt(token: str, at: datetime) -> Asker:
    return _proven("invalid_grant", lambda: jwt_issuers.prove(token, at=at))


def _from_assertion(form: Form, at: datetime) -> Asker:
    if form.get("client_assertion_type") != JWT_BEARER:
        raise TokenError("invalid_request", f"client_assertion_type must be {JWT_BEARER}: no client here has a secret.")
    assertion, client_id = form.get("client_assertion", ""), form.get("client_id", "")
    if not assertion:
        raise TokenError("invalid_request", "client_assertion is missing.")
    return _proven("invalid_client", lambda: client_assertions.prove(assertion, client_id=client_id, at=at), 401)


def _proven(error: str, prove: Callable[[], Proven], status: int = 400) -> Asker:
    try:
        found = prove()
    except ProofRefused as refusal:
        raise TokenError(error, str(refusal), status) from refusal
    except ProofUnavailable as trouble:
        raise TokenError("temporarily_unavailable", str(trouble), 429, retry_after=SOON) from trouble
    return Asker(found.subject_key, found.way, may_act=found.may_act)


_WAYS: Mapping[str, Callable[[str, datetime], Asker]] = {
    ACCESS_TOKEN: _from_api_token,
    AWS_STS: _from_aws,
    JWT: _from_jwt,
}


def _from_session(request: HttpRequest) -> Asker:
    subject = getattr(request, "subject", None)
    if subject is None:
        raise TokenError("invalid_grant", "Nobody is signed in.")
    check = _CsrfCheck(_guarded)
    check.process_request(request)
    if check.process_view(request, _guarded, (), {}) is not None:
        raise TokenError("invalid_request", "The X-CSRFToken header is missing or wrong.", 403)
    return Asker(subject.key, "console")
