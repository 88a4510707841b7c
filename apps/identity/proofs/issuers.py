"""Whose tokens about workloads are taken: added and switched off by administrators."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.errors import NotFound
from apps.identity import policies
from apps.identity.errors import InvalidIssuer
from apps.identity.models import IssuerKind, TrustedIssuer
from apps.identity.proofs import bindings
from apps.identity.verification import SAFE_ALGORITHMS

TIMEOUT = 5
LONGEST_ANSWER = 64 * 1024
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Preset:
    """What an issuer of a kind usually is. ``issuer`` is empty where each has its own."""

    issuer: str
    algorithms: tuple[str, ...]
    longest_seconds: int = 3600
    single_use: bool = True


PRESETS: Mapping[str, Preset] = {
    IssuerKind.GITHUB: Preset("https://token.actions.githubusercontent.com", ("RS256",), longest_seconds=900),
    IssuerKind.GITLAB: Preset("https://gitlab.com", ("RS256",)),
    IssuerKind.EKS: Preset("", ("RS256",), single_use=False),
    IssuerKind.AWS: Preset("", ("RS256", "ES384")),
    IssuerKind.OTHER: Preset("", ("RS256", "ES256")),
}


@dataclass(frozen=True, slots=True)
class IssuerInput:
    """What is left empty is as in the preset of ``kind``; the audience is this console, the keys are discovered.

    ``jwks``: the public keys themselves, for an issuer that cannot be asked from here.
    """

    slug: str
    kind: str
    issuer: str = ""
    audience: str = ""
    algorithms: Sequence[str] = ()
    jwks_uri: str = ""
    longest_seconds: int = 0
    account: str = ""
    single_use: bool | None = None
    jwks: Mapping[str, object] | None = None


def completed(given: IssuerInput) -> IssuerInput:
    """With the preset's values, and the keys' address as the issuer's own discovery document says it.

    This asks the issuer, so it is called before a transaction, not in one.
    """
    preset = PRESETS.get(given.kind)
    if preset is None:
        raise InvalidIssuer(fields={"kind": [f"Choose from {', '.join(IssuerKind.values)}."]})
    issuer = given.issuer.strip() or preset.issuer
    _require_address("issuer", issuer)
    keys = bindings.public_keys(given.jwks) if given.jwks else None
    return IssuerInput(
        slug=given.slug.strip(),
        kind=given.kind,
        issuer=issuer,
        audience=given.audience.strip() or settings.SALLYPORT_URL,
        algorithms=tuple(given.algorithms) or preset.algorithms,
        jwks_uri="" if keys else given.jwks_uri.strip() or discover(issuer),
        jwks=keys,
        longest_seconds=given.longest_seconds or preset.longest_seconds,
        account=given.account.strip(),
        single_use=preset.single_use if given.single_use is None else given.single_use,
    )


def discover(issuer: str) -> str:
    """The address of the issuer's keys (OpenID Connect Discovery 1.0, section 4); raises InvalidIssuer."""
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    document = _fetch(address)
    if document.get("issuer") != issuer:
        raise InvalidIssuer(fields={"issuer": [f"Its discovery document calls itself {document.get('issuer')!r}."]})
    return str(document.get("jwks_uri", ""))


def _fetch(address: str) -> Mapping[str, object]:
    try:
        with requests.get(address, timeout=TIMEOUT, allow_redirects=False, stream=True) as answer:
            body = b""
            for piece in answer.iter_content(8192):
                body += piece
                if len(body) > LONGEST_ANSWER:
                    raise InvalidIssuer(fields={"issuer": [f"{address} is too long."]})
        document = json.loads(body) if answer.status_code == 200 else None
    except (requests.RequestException, ValueError, RecursionError) as error:
        raise InvalidIssuer(fields={"issuer": [f"{address} cannot be read."]}) from error
    if not isinstance(document, dict):
        raise InvalidIssuer(fields={"issuer": [f"{address} is no discovery document."]})
    return document


def add_issuer(*, given: IssuerInput, actor: Actor, at: datetime) -> TrustedIssuer:
    """``given`` is ``completed``. An issuer is trusted for nothing until something is bound to one of its subjects."""
    policies.require_can_administer(actor)
    _check(given)
    with transaction.atomic():
        try:
            with transaction.atomic():
                issuer = TrustedIssuer.objects.create(
                    slug=given.slug,
                    kind=given.kind,
                    issuer=given.issuer,
                    audience=given.audience,
                    algorithms=list(given.algorithms),
                    jwks_uri=given.jwks_uri,
                    jwks=given.jwks or {},
                    longest_seconds=given.longest_seconds,
                    account=given.account,
                    single_use=bool(given.single_use),
                    created_at=at,
                )
        except IntegrityError as error:
            raise InvalidIssuer("An issuer with this name or address is there already.") from error
        _record("added", issuer, actor, at)
    return issuer


def _check(given: IssuerInput) -> None:
    complaints = {
        "slug": _SLUG.fullmatch(given.slug) is not None,
        "algorithms": bool(given.algorithms) and set(given.algorithms) <= SAFE_ALGORITHMS,
        "longest_seconds": 60 <= given.longest_seconds <= 3600,
        "audience": 0 < len(given.audience) <= 300 and given.audience.isprintable(),
        "account": _ACCOUNT.fullmatch(given.account) is not None if given.kind == IssuerKind.AWS else not given.account,
    }
    words = {
        "slug": "A short name of small letters, digits and hyphens.",
        "algorithms": f"Choose from {', '.join(sorted(SAFE_ALGORITHMS))}.",
        "longest_seconds": "From 60 to 3600.",
        "audience": "What its tokens must be made for.",
        "account": "Twelve digits for an AWS account, and nothing for others.",
    }
    wrong = {name: [words[name]] for name, good in complaints.items() if not good}
    if wrong:
        raise InvalidIssuer(fields=wrong)
    _require_address("issuer", given.issuer)
    if not given.jwks:
        _require_address("jwks_uri", given.jwks_uri)


def _require_address(name: str, address: str) -> None:
    schemes = {"https", "http"} if settings.SALLYPORT_PLAIN_HTTP else {"https"}
    try:
        parts = urlsplit(address)
        good = parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and not parts.fragment
    except ValueError:
        good = False
    if not good or len(address) > 300 or not address.isascii() or not address.isprintable():
        raise InvalidIssuer(fields={name: ["An address that begins with https://."]})


def switch_issuer(*, slug: str, enabled: bool, actor: Actor, at: datetime) -> TrustedIssuer:
    """Off: no token of its is taken any more, from this moment. What is bound to it stays, for when it is on again."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        issuer = TrustedIssuer.objects.select_for_update().filter(slug=slug).first()
        if issuer is None:
            raise NotFound
        if issuer.enabled != enabled:
            issuer.enabled = enabled
            issuer.save(update_fields=["enabled"])
            _record("switched_on" if enabled else "switched_off", issuer, actor, at)
    return issuer


def give_keys(*, slug: str, jwks: Mapping[str, object], actor: Actor, at: datetime) -> TrustedIssuer:
    """Other keys for an issuer whose keys were given: what the old ones signed is no longer taken.

    Raises InvalidIssuer where its keys are asked for, InvalidBinding for what are no public keys.
    """
    policies.require_can_administer(actor)
    keys = bindings.public_keys(jwks)
    with transaction.atomic():
        issuer = TrustedIssuer.objects.select_for_update().filter(slug=slug).first()
        if issuer is None:
            raise NotFound
        if not issuer.jwks:
            raise InvalidIssuer(fields={"jwks": [f"The keys of {slug} are asked for at {issuer.jwks_uri}."]})
        issuer.jwks = keys
        issuer.save(update_fields=["jwks"])
        _record("keys_given", issuer, actor, at)
    return issuer


def _record(verb: str, issuer: TrustedIssuer, actor: Actor, at: datetime) -> None:
    audit.record(
        action=f"identity.issuer.{verb}",
        actor=actor,
        target_type="identity.issuer",
        target_id=issuer.slug,
        target_name=issuer.issuer,
        after={
            "kind": issuer.kind,
            "audience": issuer.audience,
            "jwks_uri": issuer.jwks_uri,
            "keys": [str(key["kid"]) for key in issuer.jwks.get("keys", [])],
        },
        at=at,
    )


def list_issuers() -> list[TrustedIssuer]:
    return list(TrustedIssuer.objects.order_by("slug"))
