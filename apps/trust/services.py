"""Issuing certificates and tokens, and turning keys over while both ends keep believing each other."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.audit import services as audit
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import Refusal
from apps.compiler.emitters.nginx import server_name
from apps.compiler.graph import NO_CALLERS
from apps.compiler.surroundings import SigningKey as CompilerSigningKey
from apps.identity import selectors as identity
from apps.identity import vault
from apps.outbox import services as outbox
from apps.trust import jose, pki, selectors
from apps.trust.models import EDGES, Authority, Certificate, KeyState, Purpose, SigningKey, TokenCount

EDGE_TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type
BUNDLE_TYPE = "bundle+jwt"
EXPORT_TYPE = "export+jws"
"""Not a bundle's, so that no node takes an export for one."""
PROBE_TOKEN_SECONDS = 30

LIFETIME: Mapping[str, timedelta] = {
    Purpose.EDGE_TOKEN: timedelta(days=30),
    Purpose.CONTEXT: timedelta(days=30),
    Purpose.BUNDLE: timedelta(days=365),
}
"""How long a key signs. Nodes pin the bundle keys when they are enrolled, so those turn over slowly."""

PUBLISHED_BEFORE_USE = timedelta(days=1)
BELIEVED_AFTER_USE = timedelta(days=1)


class UnknownWorkload(Refusal):
    code = "unknown_workload"
    status = 422
    default_message = "No active workload has this SPIFFE id."


class BadSigningRequest(Refusal):
    code = "bad_signing_request"
    status = 422


class KeyReused(Refusal):
    code = "key_reused"
    status = 422
    default_message = "This key already has a certificate for another workload. Make a new key."


class SubjectSuspended(Refusal):
    code = "subject_suspended"
    status = 403
    default_message = "This identity is suspended."


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    certificate_pem: str
    ca_pem: str
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class EdgeToken:
    token: str
    expires_in: int


def ensure_authority(*, at: datetime) -> Authority:
    """The mesh authority, made on first use. Two callers at once end up with one."""
    found = Authority.objects.filter(active=True).first()
    return found or _make_authority(at)


def _make_authority(at: datetime) -> Authority:
    key = pki.new_private_key()
    name = f"Sallyport mesh authority for {settings.SALLYPORT_TRUST_DOMAIN}"
    with transaction.atomic():
        fresh = Authority(
            name=name,
            certificate_pem=pki.new_authority(name, key, at),
            key_sealed=vault.seal(pki.private_pem(key)),
            not_before=at - pki.BACKDATE,
            not_after=at + pki.AUTHORITY_LIFETIME,
            created_at=at,
        )
        Authority.objects.bulk_create([fresh], ignore_conflicts=True)
        authority = Authority.objects.select_for_update().get(active=True)
        if authority.certificate_pem == fresh.certificate_pem:
            _record_authority(authority, at)
    return authority


def _record_authority(authority: Authority, at: datetime) -> None:
    audit.record(
        action="trust.authority.created",
        actor=SYSTEM,
        target_type="authority",
        target_id=str(authority.pk),
        target_name=authority.name,
        after={"not_after": authority.not_after.isoformat()},
        at=at,
    )


def issue_certificate(
    *, workload: str, csr_pem: str, node: str, dns_names: Sequence[str] = (), actor: Actor | None = None, at: datetime
) -> IssuedCertificate:
    """A 30-day certificate for a known workload. The caller has checked that ``node`` may host it.

    It names the workload, the DNS name that sidecars are called by, and ``dns_names``, which the caller vouches for.
    Asking again with the same key gives a fresh certificate; a key is never shared between workloads.
    """
    try:
        public_key = pki.read_request(csr_pem)
    except pki.UnusableRequest as error:
        raise BadSigningRequest(str(error), fields={"csr_pem": [str(error)]}) from error
    _require_known(workload)
    with transaction.atomic():
        authority = ensure_authority(at=at)
        _require_own_key(workload, public_key)
        leaf = pki.sign_leaf(
            authority_pem=authority.certificate_pem,
            authority_key=pki.load_private_key(vault.unseal(authority.key_sealed)),
            public_key=public_key,
            workload=workload,
            dns_names=(server_name(workload), *dns_names),
            at=at,
        )
        _store_leaf(authority, workload, node, leaf, at)
        _record_leaf(workload, node, leaf, actor or Actor(f"node:{node}", node), at)
        outbox.enqueue(topic="trust.certificate.issued", key=workload, payload={"serial": leaf.serial}, at=at)
    return IssuedCertificate(leaf.pem, authority.certificate_pem, leaf.fingerprint, leaf.not_after)


def _require_known(workload: str) -> None:
    found = identity.graph_subjects([f"workload:{workload}"]).get(f"workload:{workload}")
    if found is None or not found.active:
        raise UnknownWorkload


def _require_own_key(workload: str, public_key: ec.EllipticCurvePublicKey) -> None:
    if Certificate.objects.filter(key_hash=pki.key_hash(public_key)).exclude(workload=workload).exists():
        raise KeyReused


def _store_leaf(authority: Authority, workload: str, node: str, leaf: pki.Leaf, at: datetime) -> None:
    Certificate.objects.create(
        authority=authority,
        workload=workload,
        node=node,
        serial=leaf.serial,
        fingerprint=leaf.fingerprint,
        key_hash=leaf.key_hash,
        pem=leaf.pem,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        issued_at=at,
    )


def _record_leaf(workload: str, node: str, leaf: pki.Leaf, actor: Actor, at: datetime) -> None:
    audit.record(
        action="trust.certificate.issued",
        actor=actor,
        target_type="workload",
        target_id=workload,
        target_name=workload,
        after={
            "serial": leaf.serial,
            "node": node,
            "key_sha256": leaf.key_hash,
            "not_after": leaf.not_after.isoformat(),
        },
        at=at,
    )


def ensure_keys(*, at: datetime) -> None:
    """An active and a next key for each purpose; what exists is left alone."""
    with transaction.atomic():
        for purpose in Purpose:
            _ensure_keys_of(purpose, at)


def _ensure_keys_of(purpose: Purpose, at: datetime) -> None:
    states = _locked_keys(purpose)
    if KeyState.NEXT not in states:
        _make_key(purpose, at)
    if KeyState.ACTIVE not in states:
        _move(_locked_keys(purpose)[KeyState.NEXT], KeyState.ACTIVE, at)
        _make_key(purpose, at)


def rotate_due(*, at: datetime) -> int:
    """Turn over the keys whose time has come; returns how many changed. Idempotent, meant to be swept.

    The order keeps both ends believing each other: a key is published a day before it signs, and still believed for a
    day after it stopped.
    """
    with transaction.atomic():
        return sum(_retire_due(purpose, at) + _replace_due(purpose, at) for purpose in Purpose)


def _retire_due(purpose: Purpose, at: datetime) -> int:
    due = SigningKey.objects.select_for_update().filter(
        purpose=purpose, state=KeyState.RETIRING, changed_at__lte=at - BELIEVED_AFTER_USE
    )
    keys = list(due)
    for key in keys:
        key.private_sealed = b""
        _move(key, KeyState.RETIRED, at)
    return len(keys)


def _replace_due(purpose: Purpose, at: datetime) -> int:
    keys = _locked_keys(purpose)
    active, following = keys.get(KeyState.ACTIVE), keys.get(KeyState.NEXT)
    if active is None or following is None or at < active.changed_at + LIFETIME[purpose]:
        return 0
    if at < following.created_at + PUBLISHED_BEFORE_USE:
        return 0
    _move(active, KeyState.RETIRING, at)
    _move(following, KeyState.ACTIVE, at)
    _make_key(purpose, at)
    return 1


def _locked_keys(purpose: Purpose) -> dict[str, SigningKey]:
    keys = SigningKey.objects.select_for_update().filter(purpose=purpose, state__in=[KeyState.ACTIVE, KeyState.NEXT])
    return {key.state: key for key in keys}


def _make_key(purpose: Purpose, at: datetime) -> None:
    jwk = jose.new_jwk()
    key = SigningKey(
        purpose=purpose,
        kid=f"{purpose.value.replace('_', '-')}-{at:%Y%m%d}-{secrets.token_hex(4)}",
        public_jwk=jose.public_half(jwk),
        private_sealed=vault.seal(json.dumps(jwk).encode()),
        created_at=at,
        changed_at=at,
    )
    SigningKey.objects.bulk_create([key], ignore_conflicts=True)
    _announce(key, {}, at)


def _move(key: SigningKey, to: KeyState, at: datetime) -> None:
    """The only assignment of a key's state."""
    if to not in EDGES.get(key.state, ()):
        raise ValueError(f"The key {key.kid} is {key.state}; it cannot become {to}.")
    before = {"state": key.state}
    key.state, key.changed_at = to, at
    key.save(update_fields=["state", "changed_at", "private_sealed"])
    _announce(key, before, at)


def _announce(key: SigningKey, before: Mapping[str, object], at: datetime) -> None:
    audit.record(
        action="trust.key.changed",
        actor=SYSTEM,
        target_type="signing_key",
        target_id=key.kid,
        target_name=key.kid,
        before=before or None,
        after={"state": key.state, "purpose": key.purpose},
        at=at,
    )
    outbox.enqueue(topic="trust.key.changed", key=key.purpose, payload={"kid": key.kid}, at=at)


def sign_edge_token(*, subject: str, client_id: str, actor: str | None = None, at: datetime) -> EdgeToken:
    """An edge token for an active person, workload or agent; raises SubjectSuspended for anybody else.

    With ``actor`` it says who acts for the subject (RFC 8693), and the doors ask for what both may do.
    """
    wanted = [subject] if actor is None else [subject, actor]
    known = identity.graph_subjects(wanted)
    for name in wanted:
        found = known.get(name)
        if found is None or not found.active or found.kind in NO_CALLERS:
            raise SubjectSuspended
    lifetime = settings.SALLYPORT_EDGE_TOKEN_SECONDS
    issued_at = int(at.timestamp())
    return EdgeToken(_signed(subject, client_id, issued_at, issued_at + lifetime, actor=actor), lifetime)


def sign_probe_tokens(*, subjects: Iterable[str], at: datetime) -> dict[str, str]:
    """Tokens for probes in the subjects' names, suspended or not: a shut door must be seen to be shut."""
    key, issued_at = selectors.active_key(Purpose.EDGE_TOKEN), int(at.timestamp())
    until = issued_at + PROBE_TOKEN_SECONDS
    return {subject: _signed(subject, "sallyport-probe", issued_at, until, key) for subject in subjects}


def sign_rehearsal_tokens(*, subjects: Iterable[str], first: int, last: int) -> dict[str, str]:
    """Tokens that are good at every moment a rehearsal plays through. They go to the engine and nowhere else."""
    key = selectors.active_key(Purpose.EDGE_TOKEN)
    return {subject: _signed(subject, "sallyport-rehearsal", first, last + 1, key) for subject in subjects}


def _signed(
    subject: str,
    client_id: str,
    issued_at: int,
    expires_at: int,
    key: CompilerSigningKey | None = None,
    actor: str | None = None,
) -> str:
    claims: dict[str, object] = {
        "iss": settings.SALLYPORT_URL,
        "aud": settings.SALLYPORT_EDGE_AUDIENCE,
        "sub": subject,
        "client_id": client_id,
        "iat": issued_at,
        "exp": expires_at,
        "jti": secrets.token_hex(16),
    }
    if actor is not None:
        claims["act"] = {"iss": settings.SALLYPORT_URL, "sub": actor, "sub_profile": "ai_agent"}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return jose.sign(payload, key=key or selectors.active_key(Purpose.EDGE_TOKEN), typ=EDGE_TOKEN_TYPE)


def count_token(*, subject: str, client_id: str, at: datetime) -> None:
    """Keep the tally of tokens given to a subject through the token endpoint."""
    TokenCount.objects.bulk_create(
        [TokenCount(subject=subject, client_id=client_id, day=at.date(), last_at=at)], ignore_conflicts=True
    )
    row = TokenCount.objects.filter(subject=subject, client_id=client_id, day=at.date())
    row.update(issued=F("issued") + 1, last_at=at)


def sign_bundle(*, payload: Mapping[str, object]) -> str:
    """The signed manifest a mesh node checks against the keys it pinned when it was enrolled."""
    content = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return jose.sign(content, key=selectors.active_key(Purpose.BUNDLE), typ=BUNDLE_TYPE)


def sign_export(*, payload: Mapping[str, object]) -> str:
    """The signed manifest of an export. The same one gives the same text, as long as the key is the same."""
    content = json.dumps(payload, separators=(",", ":"), sort_keys=True).encode()
    return jose.sign_the_same(content, key=selectors.active_key(Purpose.BUNDLE), typ=EXPORT_TYPE)
