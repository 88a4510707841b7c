"""Tokens that AWS accounts, EKS clusters, GitHub and GitLab sign for what runs there.

A token is good here when it was made for this console (its audience), is short-lived, is used once where that is
possible, and names exactly a subject that was bound, with every claim that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings

from apps.identity.models import IssuerKind, TrustedIssuer
from apps.identity.proofs import bindings, conditions, replay, tokens
from apps.identity.proofs.client_assertions import StoredKeys
from apps.identity.proofs.outcome import ProofRefused, Proven, require
from apps.identity.verification import Expectation, ProviderKeys

AWS_NAMESPACE = "https://sts.amazonaws.com/"
AWS_AUDIENCE = "sts.amazonaws.com"
UNVERIFIED = "The token does not verify; the console's log says why."
_AWS_SUB = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):(?:role|user)/[\x21-\x7e]+")
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9.-]{1,63}:[a-z0-9.-]{1,253}")


@cache
def _keys(url: str) -> ProviderKeys:
    return ProviderKeys(url)


def prove(token: str, *, at: datetime) -> Proven:
    """The workload or agent the token speaks of; raises ProofRefused."""
    issuer, claims = _believed(token, at)
    binding = bindings.find_jwt(issuer=issuer, sub=str(claims["sub"]))
    if binding is None:
        raise ProofRefused(f"No workload here is {claims['sub']} of {issuer.slug}.")
    lacking = conditions.unmet(binding.conditions, claims)
    require(not lacking, f"The token does not say: {lacking}")
    _spend(claims, issuer)
    bindings.note_use(binding, at=at)
    return Proven(binding.subject.key, f"jwt:{issuer.slug}", _may_act(claims))


@dataclass(frozen=True, slots=True)
class ClusterAccount:
    """A service account of a cluster, whoever it is bound to: ``name`` as ``system:serviceaccount:shop:cart``."""

    issuer: str
    name: str


def cluster_account(token: str, *, at: datetime) -> ClusterAccount:
    """Whose token it is, of a trusted cluster; raises ProofRefused. A pod shows the same one for most of an hour."""
    issuer, claims = _believed(token, at)
    require(issuer.kind == IssuerKind.EKS, "The token is not of a cluster.")
    return ClusterAccount(issuer.slug, str(claims["sub"]))


def _believed(token: str, at: datetime) -> tuple[TrustedIssuer, Mapping[str, Any]]:
    """Who signed, and what it claims; nothing is spent yet."""
    issuer = _issuer(tokens.unverified(token).get("iss"))
    expected = Expectation(
        issuer=issuer.issuer,
        audience=issuer.audience,
        algorithms=issuer.algorithms,
        oldest=issuer.longest_seconds,
    )
    seconds = int(at.timestamp())
    keys = StoredKeys(issuer.jwks) if issuer.jwks else _keys(issuer.jwks_uri)
    claims = tokens.verified(token, expected=expected, keys=keys, at=seconds, refusal=UNVERIFIED)
    _check_age(claims, issuer)
    _check_kind(claims, issuer)
    return issuer, claims


def _may_act(claims: Mapping[str, Any]) -> str:
    """The agent here that the token lets act, named by our own key for it: without ``iss``, or with ours."""
    named = claims.get("may_act")
    if not isinstance(named, dict) or named.get("iss", settings.SALLYPORT_URL) != settings.SALLYPORT_URL:
        return ""
    agent = named.get("sub")
    return agent if isinstance(agent, str) else ""


def _issuer(name: object) -> TrustedIssuer:
    known = isinstance(name, str) and 0 < len(name) <= 300 and name.isascii() and name.isprintable()
    found = TrustedIssuer.objects.filter(issuer=name, enabled=True).first() if known else None
    if found is None:
        raise ProofRefused("The token's issuer is not trusted here.")
    return found


def _check_age(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    lives = tokens.moment(claims, "exp") - tokens.moment(claims, "iat")
    require(lives <= issuer.longest_seconds, f"The token lives longer than {issuer.longest_seconds} seconds.")


def _check_kind(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    require(AWS_AUDIENCE not in named, f"A token for {AWS_AUDIENCE} is for AWS, not for this console.")
    sub = str(claims["sub"])
    if issuer.kind == IssuerKind.AWS:
        _check_aws(claims, issuer, sub)
    if issuer.kind == IssuerKind.EKS:
        require(_SERVICE_ACCOUNT.fullmatch(sub) is not None, "The token is not of a service account.")


def _check_aws(claims: Mapping[str, Any], issuer: TrustedIssuer, sub: str) -> None:
    """The account is said twice, in the subject's ARN and beside it; both must be the issuer's."""
    said = claims.get(AWS_NAMESPACE)
    account = said.get("aws_account") if isinstance(said, dict) else None
    arn = _AWS_SUB.fullmatch(sub)
    require(arn is not None, "The token is not of an IAM role or user.")
    require(account == issuer.account == (arn[1] if arn else ""), f"The token is not of account {issuer.account}.")


def _spend(claims: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    jti = claims.get("jti")
    if not issuer.single_use or jti is None:
        return
    require(isinstance(jti, str) and 0 < len(jti) <= 255, "The token's jti is not a text.")
    until = datetime.fromtimestamp(tokens.moment(claims, "exp"), UTC) + timedelta(minutes=2)
    replay.spend(replay.digest_of("jwt", issuer.issuer, str(jti)), expires_at=until)
