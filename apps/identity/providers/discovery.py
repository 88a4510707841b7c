"""Asking a provider what it is (OpenID Connect Discovery 1.0), and saying in words what is wrong with the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apps.identity.models import ClientAuth
from apps.identity.providers import outgoing
from apps.identity.providers.client_auth import ALGORITHM, live_keys
from apps.identity.verification import SAFE_ALGORITHMS, read_keys

if TYPE_CHECKING:
    from apps.identity.models import Provider

PATH = "/.well-known/openid-configuration"
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL = ("userinfo_endpoint", "end_session_endpoint", "revocation_endpoint")
FLAGS = ("authorization_response_iss_parameter_supported", "claims_parameter_supported", "backchannel_logout_supported")
MOST_SKEW = 30
ANYBODY = frozenset({"common", "organizations", "consumers"})
ENTRA_HOSTS = frozenset({"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"})
GOOGLE = "https://accounts.google.com"


@dataclass(frozen=True, slots=True)
class Problem:
    """``stops`` says that nobody can or should sign in like this."""

    words: str
    stops: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    problems: tuple[Problem, ...]
    endpoints: dict[str, Any] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        return bool(self.endpoints) and not any(problem.stops for problem in self.problems)


def examine(provider: Provider, *, at: datetime) -> Report:
    """Everything that is wrong with ``provider`` and with what it says about itself. Asks it twice."""
    found = [*_by_itself(provider, at)]
    fault = outgoing.fault_of(provider.issuer)
    if fault:
        return Report((*found, Problem(f"The issuer {fault}.")))
    try:
        answer = outgoing.get(provider.issuer.rstrip("/") + PATH)
        said = _document(answer)
    except outgoing.Unreachable as error:
        return Report((*found, Problem(f"Discovery does not work: {error}.")))
    found += [*_of_time(answer.headers, at), *_of_document(provider, said), *_of_keys(provider, said)]
    return Report(tuple(found), {name: said[name] for name in (*NEEDED, *OPTIONAL, *FLAGS) if name in said})


def _document(answer: outgoing.Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise outgoing.Unreachable(f"the issuer answers with {answer.status} at {PATH}")
    return answer.json()


def is_anybody(issuer: str) -> bool:
    """Whether the issuer stands for every directory there is, as Entra's ``common`` does."""
    parts = urlsplit(issuer)
    return parts.hostname in ENTRA_HOSTS and parts.path.strip("/").partition("/")[0].lower() in ANYBODY


def _by_itself(provider: Provider, at: datetime) -> Iterator[Problem]:
    """What can be seen without asking."""
    if is_anybody(provider.issuer):
        yield Problem(
            "The issuer stands for every Microsoft directory there is. Use the issuer with your own tenant's id."
        )
    elif urlsplit(provider.issuer).hostname in ENTRA_HOSTS and provider.tenant_claim != "tid":
        yield Problem("No tenant is pinned. For Entra, tokens must name your tenant's id in the claim tid.")
    if provider.issuer == GOOGLE and provider.tenant_claim != "hd":
        yield Problem("No domain is pinned in the claim hd: anybody with a Google account can sign in.", stops=False)
    if provider.client_auth == ClientAuth.PRIVATE_KEY:
        if not live_keys(provider, at=at):
            yield Problem("There is no key of this console to sign with. Make one.")
    elif not provider.client_secret_sealed:
        yield Problem("No client secret is set.")
    if "openid" not in provider.scopes.split():
        yield Problem("The scope openid is not asked for, so there will be no ID token.")


def _of_time(headers: Mapping[str, str], at: datetime) -> Iterator[Problem]:
    try:
        theirs = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return
    skew = abs((theirs.replace(tzinfo=theirs.tzinfo or UTC) - at).total_seconds())
    if skew > MOST_SKEW:
        yield Problem(f"Its clock and this machine's are {skew:.0f} seconds apart. Set the one that is wrong.")


def _of_document(provider: Provider, said: Mapping[str, Any]) -> Iterator[Problem]:
    issuer = said.get("issuer")
    if issuer != provider.issuer:
        yield Problem(f"It calls itself {issuer!r}, you wrote {provider.issuer!r}. They must be alike, slash and all.")
    for name in (*NEEDED, *OPTIONAL):
        yield from _of_endpoint(name, said.get(name))
    yield from _of_abilities(provider, said)


def _of_endpoint(name: str, url: object) -> Iterator[Problem]:
    if url is None:
        if name in NEEDED:
            yield Problem(f"It names no {name}.")
        elif name == "end_session_endpoint":
            yield Problem("It has no sign-out address: who signs out here stays signed in there.", stops=False)
        return
    fault = outgoing.fault_of(url) if isinstance(url, str) else "is not an address"
    if fault:
        yield Problem(f"Its {name} {fault}: {url!r}.")


def _of_abilities(provider: Provider, said: Mapping[str, Any]) -> Iterator[Problem]:
    methods = _names(said, "code_challenge_methods_supported")
    if methods is None:
        yield Problem("It does not say whether it knows PKCE with S256. It is sent all the same.", stops=False)
    elif "S256" not in methods:
        yield Problem(f"It does not know PKCE with S256, only {', '.join(methods) or 'nothing'}.")
    offered = _names(said, "id_token_signing_alg_values_supported") or []
    if not set(offered) & set(provider.algorithms):
        accepted = ", ".join(provider.algorithms)
        yield Problem(f"It signs with {', '.join(offered) or 'nothing it names'}, and you accept {accepted}.")
    if "code" not in (_names(said, "response_types_supported") or ["code"]):
        yield Problem("It does not offer the authorization code flow.")
    yield from _of_client_auth(provider, said)
    yield from _of_scopes(provider, said)
    if "auth_time" not in (_names(said, "claims_supported") or ["auth_time"]):
        yield Problem(
            "It does not list the claim auth_time. If it does not say when somebody signed in, nobody from there can "
            "approve for sensitive services; a trial sign-in shows it.",
            stops=False,
        )


def _of_client_auth(provider: Provider, said: Mapping[str, Any]) -> Iterator[Problem]:
    auth = _names(said, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if provider.client_auth not in auth:
        what = "" if provider.client_auth == ClientAuth.PRIVATE_KEY else "the client secret by "
        yield Problem(f"It wants {what}{' or '.join(auth)}, and you chose {provider.client_auth}.")
    signed = _names(said, "token_endpoint_auth_signing_alg_values_supported") or [ALGORITHM]
    if provider.client_auth == ClientAuth.PRIVATE_KEY and ALGORITHM not in signed:
        yield Problem(f"It takes assertions signed with {', '.join(signed)}, and this console signs with {ALGORITHM}.")


def _of_scopes(provider: Provider, said: Mapping[str, Any]) -> Iterator[Problem]:
    wanted = {*provider.scopes.split(), *(["offline_access"] if provider.ask_again_minutes else [])}
    strange = sorted(wanted - set(_names(said, "scopes_supported") or wanted))
    if strange:
        yield Problem(
            f"It does not list the scope {', '.join(strange)} and may refuse to be asked for it.", stops=False
        )
    grants = _names(said, "grant_types_supported") or ["refresh_token"]
    if provider.ask_again_minutes and "refresh_token" not in grants:
        yield Problem("It does not list the grant type refresh_token, so it cannot be asked again.", stops=False)


def _of_keys(provider: Provider, said: Mapping[str, Any]) -> Iterator[Problem]:
    url = said.get("jwks_uri")
    if not isinstance(url, str) or outgoing.fault_of(url):
        return
    try:
        keys = read_keys(outgoing.get(url))
    except outgoing.Unreachable as error:
        yield Problem(f"Its keys cannot be read: {error}.")
        return
    kinds = {key.key_type for key in keys.values()}
    if not keys:
        yield Problem("It publishes no key with a name to check signatures with.")
    elif not any(_fits(algorithm, kinds) for algorithm in provider.algorithms):
        yield Problem(f"None of its keys ({', '.join(sorted(kinds))}) fits {', '.join(provider.algorithms)}.")


def _fits(algorithm: str, kinds: set[str]) -> bool:
    wanted = {"R": "RSA", "P": "RSA", "E": "OKP" if algorithm.startswith("Ed") else "EC"}
    return algorithm in SAFE_ALGORITHMS and wanted[algorithm[0]] in kinds


def _names(said: Mapping[str, Any], name: str) -> list[str] | None:
    """A list of names in the document; None when it is not there."""
    found = said.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else None
