"""Which outside identity is which workload or agent: said by people, looked up by proofs, ended by either.

Every write here locks the subject or the binding, so that a suspension, an ending and a proof happen one after another.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import BindingTaken, InvalidBinding, Suspended
from apps.identity.models import AwsPrincipal, Kind, ProofKind, Subject, TrustedIssuer, WorkloadIdentity
from apps.identity.proofs import conditions
from apps.identity.proofs.conditions import Condition
from apps.identity.proofs.outcome import ProofRefused
from apps.identity.services.subjects import get_locked, note

USE_NOTED_EVERY = timedelta(minutes=1)
MOST_KEYS = 10
AWS = frozenset({ProofKind.AWS_ROLE, ProofKind.AWS_USER})
SHAPES: Mapping[str, re.Pattern[str]] = {
    "account": re.compile(r"[0-9]{12}"),
    "name": re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}"),
    "partition": re.compile(r"aws|aws-cn|aws-us-gov"),
    "stable_id": re.compile(r"|[A-Za-z0-9]{8,128}"),
    "sub": re.compile(r"[\x21-\x7e]{1,255}"),
}
_PUBLIC_TYPES = ("EC", "RSA", "OKP")
_PUBLIC_MEMBERS = ("kty", "kid", "crv", "x", "y", "n", "e", "alg", "use")


@dataclass(frozen=True, slots=True)
class Outside:
    """What is bound. Which fields count depends on ``kind``; the others stay empty."""

    kind: str
    account: str = ""
    name: str = ""
    partition: str = "aws"
    stable_id: str = ""
    issuer: str = ""
    sub: str = ""
    conditions: Sequence[Condition] = ()
    jwks: Mapping[str, object] | None = None


def bind(*, subject_key: str, outside: Outside, actor: Actor, at: datetime) -> WorkloadIdentity:
    """From now on ``outside`` is ``subject_key``. Raises BindingTaken when it stands for somebody already."""
    with transaction.atomic():
        subject = get_locked(subject_key)
        policies.require_can_bind(actor, subject)
        if subject.kind not in {Kind.WORKLOAD, Kind.AGENT}:
            raise InvalidBinding("Only workloads and agents are bound to outside identities; people sign in.")
        if not subject.is_active:
            raise Suspended
        values = _values(outside)
        try:
            with transaction.atomic():
                binding = WorkloadIdentity.objects.create(subject=subject, kind=outside.kind, created_at=at, **values)
        except IntegrityError as error:
            raise BindingTaken from error
        note(subject, "identity.binding.added", actor=actor, at=at, after=described(binding))
    return binding


def _values(outside: Outside) -> dict[str, object]:
    if outside.kind in AWS:
        return _aws_values(outside)
    if outside.kind == ProofKind.JWT:
        return _jwt_values(outside)
    if outside.kind == ProofKind.KEY:
        return {"client_id": f"sc_{secrets.token_hex(12)}", "jwks": public_keys(outside.jwks)}
    raise InvalidBinding(fields={"kind": [f"Choose from {', '.join(ProofKind.values)}."]})


def _aws_values(outside: Outside) -> dict[str, object]:
    names = ("partition", "account", "name", "stable_id")
    given = {name: str(getattr(outside, name)).strip() for name in names}
    _require_shapes(given)
    if not given["stable_id"]:
        known = AwsPrincipal.objects.filter(
            account=given["account"], kind=outside.kind, name=given["name"], vanished_at=None
        ).first()
        given["stable_id"] = known.stable_id if known else ""
    return dict(given)


def _jwt_values(outside: Outside) -> dict[str, object]:
    issuer = TrustedIssuer.objects.filter(slug=outside.issuer, enabled=True).first()
    if issuer is None:
        raise InvalidBinding(fields={"issuer": ["Choose an issuer that is trusted here."]})
    sub = outside.sub.strip()
    _require_shapes({"sub": sub})
    return {"issuer": issuer, "sub": sub, "conditions": conditions.checked(outside.conditions)}


def _require_shapes(given: Mapping[str, str]) -> None:
    wrong = {name: ["It does not look like one."] for name, value in given.items() if not SHAPES[name].fullmatch(value)}
    if wrong:
        raise InvalidBinding(fields=wrong)


def public_keys(jwks: Mapping[str, object] | None) -> dict[str, object]:
    """A JWK set of public keys, each with a name; raises InvalidBinding, above all for a private key.

    Only the members that make a public key are kept.
    """
    sent = (jwks or {}).get("keys")
    keys = [_public(key) for key in sent] if isinstance(sent, list) and 0 < len(sent) <= MOST_KEYS else []
    if not keys or {} in keys:
        complaint = f"Give a JWK set of 1 to {MOST_KEYS} public keys (EC, RSA or OKP), each with a kid."
        raise InvalidBinding(fields={"jwks": [complaint]})
    try:
        KeySet.import_key_set({"keys": [dict(key) for key in keys]})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidBinding(fields={"jwks": ["A key cannot be read."]}) from error
    return {"keys": keys}


def _public(key: object) -> dict[str, str]:
    """Empty for what is no public key, or has a private half or no name."""
    if not isinstance(key, dict) or "d" in key or key.get("kty") not in _PUBLIC_TYPES:
        return {}
    kept = {name: value for name in _PUBLIC_MEMBERS if isinstance(value := key.get(name), str)}
    plain = all(value.isascii() and value.isprintable() and 0 < len(value) <= 1500 for value in kept.values())
    return kept if plain and "kid" in kept else {}


def end_binding(*, binding_id: int, subject_key: str, actor: Actor, at: datetime, why: str = "") -> WorkloadIdentity:
    """Ending twice is ending once. One of another subject is said not to exist."""
    with transaction.atomic():
        subject = get_locked(subject_key)
        policies.require_can_bind(actor, subject)
        binding = WorkloadIdentity.objects.select_for_update().filter(pk=binding_id, subject=subject).first()
        if binding is None:
            raise NotFound
        binding.subject = subject
        _end(binding, actor=actor, at=at, why=why)
    return binding


def end_vanished(*, stable_ids: Sequence[str], at: datetime) -> int:
    """Roles and users that AWS no longer has stand for nobody; returns how many bindings ended."""
    with transaction.atomic():
        found = WorkloadIdentity.objects.select_for_update(of=("self",)).select_related("subject")
        gone = list(found.filter(stable_id__in=stable_ids, ended_at=None, kind__in=AWS).order_by("pk"))
        for binding in gone:
            _end(binding, actor=SYSTEM, at=at, why="AWS no longer has it.")
    return len(gone)


def _end(binding: WorkloadIdentity, *, actor: Actor, at: datetime, why: str) -> None:
    if binding.ended_at is not None:
        return
    binding.ended_at, binding.ended_why = at, why[:200]
    binding.save(update_fields=["ended_at", "ended_why"])
    note(binding.subject, "identity.binding.ended", actor=actor, at=at, before=described(binding), after={"why": why})


def described(binding: WorkloadIdentity) -> dict[str, object]:
    return {
        "binding": binding.pk,
        "kind": binding.kind,
        "outside": binding.outside,
        "stable_id": binding.stable_id,
        "issuer": binding.issuer.slug if binding.issuer else "",
        "conditions": conditions.shown(binding.conditions),
    }


def find_aws(*, kind: str, partition: str, account: str, name: str) -> WorkloadIdentity | None:
    return _live(Q(kind=kind, partition=partition, account=account, name=name))


def find_jwt(*, issuer: TrustedIssuer, sub: str) -> WorkloadIdentity | None:
    return _live(Q(kind=ProofKind.JWT, issuer=issuer, sub=sub))


def find_key(client_id: str) -> WorkloadIdentity | None:
    return _live(Q(kind=ProofKind.KEY, client_id=client_id))


def _live(which: Q) -> WorkloadIdentity | None:
    found = WorkloadIdentity.objects.select_related("subject__owner", "issuer")
    return found.filter(which, ended_at=None).first()


def use_aws(binding: WorkloadIdentity, *, stable_id: str, at: datetime) -> WorkloadIdentity:
    """Pin AWS's own id at the first proof and hold later ones to it. Locks the binding while it is not pinned."""
    if not binding.stable_id:
        with transaction.atomic():
            locked = WorkloadIdentity.objects.select_for_update().get(pk=binding.pk)
            if not locked.stable_id and locked.ended_at is None:
                locked.stable_id = stable_id
                locked.save(update_fields=["stable_id"])
                note(binding.subject, "identity.binding.pinned", actor=SYSTEM, at=at, after=described(locked))
        binding.stable_id, binding.ended_at = locked.stable_id, locked.ended_at
    if binding.stable_id != stable_id or binding.ended_at is not None:
        raise ProofRefused(
            f"{binding.name} is another {binding.get_kind_display()} than the one that was bound: it was made again."
        )
    return note_use(binding, at=at)


def note_use(binding: WorkloadIdentity, *, at: datetime) -> WorkloadIdentity:
    """At most one write a minute."""
    if binding.last_used_at is None or binding.last_used_at <= at - USE_NOTED_EVERY:
        WorkloadIdentity.objects.filter(pk=binding.pk).update(last_used_at=at)
    return binding


def list_bindings(subject: Subject) -> list[WorkloadIdentity]:
    """The live ones first, then the ended, the newest first."""
    found = WorkloadIdentity.objects.filter(subject=subject).select_related("issuer")
    return sorted(found.order_by("-created_at", "-id")[:100], key=lambda one: one.ended_at is not None)
