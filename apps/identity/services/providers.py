"""Setting up whose word about people we take: an administrator's work, recorded without the secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.actors import Actor
from apps.identity import policies
from apps.identity.errors import InvalidProvider, ProviderNotReady, UnknownProvider
from apps.identity.models import ClientAuth, Preset, Provider
from apps.identity.providers.discovery import GOOGLE, is_anybody
from apps.identity.providers.outgoing import fault_of
from apps.identity.services.client_keys import ensure_client_key
from apps.identity.services.provider_record import note_provider
from apps.identity.vault import seal
from apps.identity.verification import SAFE_ALGORITHMS

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
RESERVED = frozenset({"new"})
CLAIM = re.compile(r"[!-~]{1,40}")
DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
USUAL_MINUTES = 10
MOST_MINUTES = 240
KEPT = ("issuer", "client_id")
"""Without a new test, nothing is known about another issuer or client."""


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """What an administrator says about a provider, beside its secret."""

    name: str
    issuer: str
    client_id: str
    preset: str = Preset.OTHER
    client_auth: str = ClientAuth.BASIC
    algorithms: Sequence[str] = ("RS256",)
    scopes: str = "openid profile email"
    subject_claim: str = "sub"
    groups_claim: Sequence[str] = ()
    allowed_domains: Sequence[str] = ()
    tenant_claim: str = ""
    tenant: str = ""
    step_up_acr: str = ""
    creates_people: bool = True
    ask_again_minutes: int = 0

    def values(self) -> dict[str, Any]:
        """As the row keeps them."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, list | tuple) else value for name, value in found.items()}


def add_provider(*, slug: str, facts: ProviderFacts, client_secret: str, actor: Actor, at: datetime) -> Provider:
    """A provider nobody can sign in at yet: it is switched on when a test found nothing that stops it."""
    policies.require_can_administer(actor)
    wrong = faults_of(facts)
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        wrong["slug"] = ["Choose small letters, digits and hyphens, at most 40."]
    _refuse(wrong)
    sealed = seal(client_secret.encode()) if client_secret else b""
    try:
        with transaction.atomic():
            provider = Provider.objects.create(
                slug=slug, client_secret_sealed=sealed, enabled=False, created_at=at, **facts.values()
            )
            note_provider(provider, "identity.provider.added", actor=actor, at=at, after=facts.values())
            _provide_key(provider, actor, at)
    except IntegrityError as error:
        taken = "There is one with this short name, or this issuer and client."
        raise InvalidProvider(fields={"slug": [taken]}) from error
    return provider


def change_provider(
    *, slug: str, facts: ProviderFacts, client_secret: str = "", actor: Actor, at: datetime
) -> Provider:
    """An empty ``client_secret`` keeps the one there is. Another issuer or client has to be tested again first."""
    policies.require_can_administer(actor)
    _refuse(faults_of(facts))
    try:
        with transaction.atomic():
            return _change(_locked(slug), facts, client_secret, actor, at)
    except IntegrityError as error:
        raise InvalidProvider(fields={"issuer": ["There is one with this issuer and client."]}) from error


def _change(provider: Provider, facts: ProviderFacts, client_secret: str, actor: Actor, at: datetime) -> Provider:
    changed = {name: value for name, value in facts.values().items() if getattr(provider, name) != value}
    before = {name: getattr(provider, name) for name in changed}
    after = dict(changed)
    if client_secret:
        changed["client_secret_sealed"], after["client_secret"] = seal(client_secret.encode()), "changed"
    if any(name in changed for name in KEPT):
        changed |= {"endpoints": {}, "discovered_at": None, "enabled": False}
    if not changed:
        return provider
    for name, value in changed.items():
        setattr(provider, name, value)
    provider.save(update_fields=list(changed))
    _provide_key(provider, actor, at)
    note_provider(provider, "identity.provider.changed", actor=actor, at=at, before=before, after=after)
    return provider


def _provide_key(provider: Provider, actor: Actor, at: datetime) -> None:
    if provider.client_auth == ClientAuth.PRIVATE_KEY:
        ensure_client_key(provider, actor=actor, at=at)


def switch_provider(*, slug: str, enabled: bool, actor: Actor, at: datetime) -> Provider:
    """Whether people can sign in there. Switching off ends no session; switching on needs a test that passed."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _locked(slug)
        if provider.enabled == enabled:
            return provider
        if enabled and provider.discovered_at is None and not provider.only_describes:
            raise ProviderNotReady
        provider.enabled = enabled
        provider.save(update_fields=["enabled"])
        verb = "enabled" if enabled else "disabled"
        note_provider(provider, f"identity.provider.{verb}", actor=actor, at=at)
    return provider


def note_discovery(*, slug: str, endpoints: Mapping[str, Any], actor: Actor, at: datetime) -> Provider:
    """Keep what a test that passed has found. Recorded when it says something new."""
    policies.require_can_administer(actor)
    with transaction.atomic():
        provider = _locked(slug)
        before, provider.endpoints, provider.discovered_at = provider.endpoints, dict(endpoints), at
        provider.save(update_fields=["endpoints", "discovered_at"])
        if before != provider.endpoints:
            after = provider.endpoints
            note_provider(provider, "identity.provider.discovered", actor=actor, at=at, before=before, after=after)
    return provider


def faults_of(facts: ProviderFacts) -> dict[str, list[str]]:
    """Complaints by field, about what can be seen without asking the provider."""
    issuer_fault = fault_of(facts.issuer)
    domains = [one for one in facts.allowed_domains if not DOMAIN.fullmatch(one)]
    checks = {
        "name": "" if 0 < len(facts.name.strip()) <= 100 else "Give it a name of at most 100 characters.",
        "issuer": f"The issuer {issuer_fault}." if issuer_fault else _issuer_fault(facts.issuer),
        "client_id": "" if re.fullmatch(r"[ -~]{1,255}", facts.client_id) else "This is not a client id.",
        "preset": "" if facts.preset in Preset.values else "Choose one of the presets.",
        "client_auth": _client_auth_fault(facts),
        "algorithms": _algorithms_fault(facts.algorithms),
        "scopes": "" if "openid" in facts.scopes.split() and len(facts.scopes) <= 200 else "Ask at least for openid.",
        "subject_claim": "" if CLAIM.fullmatch(facts.subject_claim) else "Name one claim.",
        "groups_claim": "" if all(0 < len(one) <= 200 for one in facts.groups_claim) else "This names no claim.",
        "allowed_domains": f"{', '.join(domains)} is not a domain." if domains else "",
        "tenant": _tenant_fault(facts),
        "ask_again_minutes": _asking_fault(facts),
        "step_up_acr": "" if re.fullmatch(r"[ -~]{0,200}", facts.step_up_acr) else "This names no acr.",
    }
    return {name: [complaint] for name, complaint in checks.items() if complaint}


def _client_auth_fault(facts: ProviderFacts) -> str:
    if facts.client_auth not in ClientAuth.values:
        return "Choose one of the three."
    if facts.client_auth == ClientAuth.PRIVATE_KEY and facts.preset == Preset.ENTRA:
        return "Entra wants a certificate and its thumbprint in every assertion; none is made here. Use a secret."
    return ""


def _asking_fault(facts: ProviderFacts) -> str:
    if not 0 <= facts.ask_again_minutes <= MOST_MINUTES:
        return f"Between 1 and {MOST_MINUTES} minutes."
    if facts.ask_again_minutes and facts.issuer == GOOGLE:
        return "Google has another way to ask for refresh tokens, which is not used here. Leave this off."
    return ""


def _algorithms_fault(algorithms: Sequence[str]) -> str:
    if not algorithms:
        return "Choose at least one."
    strange = sorted(set(algorithms) - SAFE_ALGORITHMS)
    return f"{', '.join(strange)} proves nothing, or is not known here." if strange else ""


def _issuer_fault(issuer: str) -> str:
    if len(issuer) > 300:
        return "An issuer has at most 300 characters."
    return "This stands for every Microsoft directory there is; write your own tenant's." if is_anybody(issuer) else ""


def _tenant_fault(facts: ProviderFacts) -> str:
    if bool(facts.tenant_claim) != bool(facts.tenant):
        return "Name both the claim and what it must say, or neither."
    if facts.tenant_claim and not CLAIM.fullmatch(facts.tenant_claim):
        return "Name one claim."
    return "" if re.fullmatch(r"[!-~]{0,100}", facts.tenant) else "This names no tenant."


def _refuse(wrong: dict[str, list[str]]) -> None:
    if wrong:
        raise InvalidProvider(fields=wrong)


def _locked(slug: str) -> Provider:
    provider = Provider.objects.select_for_update().filter(slug=slug).first()
    if provider is None:
        raise UnknownProvider
    return provider
