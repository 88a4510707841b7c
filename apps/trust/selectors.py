"""Reads: what to believe, and what the doors are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from apps.compiler.surroundings import SigningKey as CompilerSigningKey
from apps.compiler.surroundings import VerifyKey
from apps.identity import vault
from apps.trust import jose
from apps.trust.models import BELIEVED, Authority, Certificate, KeyState, Purpose, SigningKey


class NoActiveKey(LookupError):
    """The keys were never made: run ensure_targets, or the services that ensure them."""


def jwks(*purposes: Purpose) -> dict[str, list[dict[str, str]]]:
    """The JWK set of all believed keys of the given purposes."""
    keys = SigningKey.objects.filter(purpose__in=purposes, state__in=BELIEVED).order_by("kid")
    return {"keys": [jose.published(key.kid, key.public_jwk) for key in keys]}


def verify_keys(purpose: Purpose) -> tuple[VerifyKey, ...]:
    """Every believed key of a purpose, in order of kid so that the same keys compile to the same bytes."""
    keys = SigningKey.objects.filter(purpose=purpose, state__in=BELIEVED).order_by("kid")
    return tuple(jose.verify_key(key.kid, key.public_jwk) for key in keys)


def active_key(purpose: Purpose) -> CompilerSigningKey:
    """The key that signs now, private half included."""
    key = SigningKey.objects.filter(purpose=purpose, state=KeyState.ACTIVE).first()
    if key is None:
        raise NoActiveKey(f"There is no active key for {purpose.label.lower()}.")
    return CompilerSigningKey(kid=key.kid, jwk=json.loads(vault.unseal(key.private_sealed)))


def identities(*, at: datetime) -> Mapping[str, str]:
    """SPIFFE id of every certificate that is still valid, by its fingerprint."""
    rows = Certificate.objects.filter(not_after__gt=at).order_by("fingerprint")
    return dict(rows.values_list("fingerprint", "workload"))


def list_fingerprints(*, node: str, at: datetime) -> list[str]:
    """Of the certificates that were issued to nodes of this name and are still valid."""
    rows = Certificate.objects.filter(node=node, not_after__gt=at).order_by("fingerprint")
    return list(rows.values_list("fingerprint", flat=True))


def authority_pem() -> str:
    """The certificate of the mesh authority."""
    authority = Authority.objects.filter(active=True).first()
    if authority is None:
        raise NoActiveKey("There is no certificate authority yet.")
    return authority.certificate_pem


def list_certificates(*, at: datetime) -> list[Certificate]:
    """Certificates that are still valid, the first to end first."""
    return list(Certificate.objects.filter(not_after__gt=at).defer("pem").order_by("not_after", "id"))
