"""What a verified sign-in says: who, how lately, in which groups. Names and addresses are for showing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apps.identity.errors import ForeignAccount
from apps.identity.providers.discovery import GOOGLE
from apps.identity.verification import FARTHEST, LEEWAY, TokenRefused, is_name

if TYPE_CHECKING:
    from apps.identity.models import Provider

OTHER_SPELLINGS = {GOOGLE: ("accounts.google.com",)}
"""Google signs with either (its OpenID Connect reference); the identity is one."""


@dataclass(frozen=True, slots=True)
class Groups:
    """``is_overage``: there are more than the token could hold (Entra), so none are known. ``is_missing``: no claim."""

    names: tuple[str, ...] = ()
    is_overage: bool = False
    is_missing: bool = False

    @property
    def known(self) -> tuple[str, ...] | None:
        """None when the token says nothing of groups, which is not the same as none."""
        return None if self.is_missing or self.is_overage else self.names


@dataclass(frozen=True, slots=True)
class Proved:
    """A sign-in at a provider that passed every check. ``issuer`` and ``subject`` are the identity.

    ``sub`` is how the provider itself names the person, ``authenticated_at`` when it last saw proof, if it says so.
    """

    provider: Provider
    issuer: str
    subject: str
    sub: str
    claims: Mapping[str, Any] = field(repr=False)
    id_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    sid: str = ""
    acr: str = ""
    authenticated_at: datetime | None = None

    @property
    def groups(self) -> Groups:
        return groups_of(self.provider, self.claims)


def read(
    provider: Provider, *, signed: Mapping[str, Any], more: Mapping[str, Any], id_token: str, at: datetime
) -> Proved:
    """``signed`` are the claims of the ID token, ``more`` those of the userinfo endpoint: what is signed prevails.

    Raises ForeignAccount for an account of another tenant or domain, TokenRefused for what makes no sense.
    """
    claims = {**more, **signed}
    _require_tenant(provider, signed)
    _require_domain(provider, claims)
    subject = signed.get(provider.subject_claim)
    if not is_name(subject):
        raise TokenRefused(f"The token names nobody in {provider.subject_claim!r}.")
    return Proved(
        provider=provider,
        issuer=provider.issuer,
        subject=str(subject),
        sub=str(signed["sub"]),
        claims=claims,
        id_token=id_token,
        sid=_name(signed, "sid"),
        acr=_name(signed, "acr")[:200],
        authenticated_at=_moment(signed.get("auth_time"), at),
    )


def _require_tenant(provider: Provider, signed: Mapping[str, Any]) -> None:
    if provider.tenant_claim and signed.get(provider.tenant_claim) != provider.tenant:
        raise ForeignAccount("Your account belongs to another organisation than this console is for.")


def _require_domain(provider: Provider, claims: Mapping[str, Any]) -> None:
    """Only an address that the provider vouches for says anything about a domain."""
    if not provider.allowed_domains:
        return
    address = claims.get("email")
    domain = address.rpartition("@")[2].lower() if isinstance(address, str) else ""
    if domain not in provider.allowed_domains or claims.get("email_verified") not in (True, "true"):
        raise ForeignAccount("This console does not accept accounts of your e-mail domain.")


def _name(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return str(value) if is_name(value) else ""


def _moment(value: object, at: datetime) -> datetime | None:
    """Nobody has proved anything in the future; a time we cannot read is one we do not know."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < FARTHEST:
        return None
    if value > at.timestamp() + LEEWAY:
        raise TokenRefused("The token tells of a sign-in in the future.")
    return min(datetime.fromtimestamp(value, UTC), at)


def groups_of(provider: Provider, claims: Mapping[str, Any]) -> Groups:
    """The groups a sign-in came with, by the provider's path of claims."""
    if not provider.groups_claim:
        return Groups(is_missing=True)
    if _is_overage(provider.groups_claim[0], claims):
        return Groups(is_overage=True)
    found: object = claims
    for key in provider.groups_claim:
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None:
        return Groups(is_missing=True)
    listed = found if isinstance(found, list) else [found]
    return Groups(tuple(sorted({one for one in listed if isinstance(one, str) and one.isprintable() and one})))


def _is_overage(claim: str, claims: Mapping[str, Any]) -> bool:
    """Entra leaves the groups out when there are more than 200 and says where to ask instead."""
    elsewhere = claims.get("_claim_names")
    named = isinstance(elsewhere, Mapping) and claim in elsewhere
    return (named or claims.get("hasgroups") in (True, "true")) and claim not in claims
