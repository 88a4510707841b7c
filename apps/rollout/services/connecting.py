"""Giving a target the credential it speaks to its vendor with. It is tried before it is kept, and never shown again."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.identity import vault
from apps.rollout.akamai.edgerc import EdgeGridCredential
from apps.rollout.drivers.akamai import looking
from apps.rollout.drivers.akamai.api import AkamaiApi, Connection, Credentials
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import DriverName, Target
from apps.rollout.services.evidence import record_target
from apps.rollout.services.moving import UNSETTLED
from apps.rollout.services.targets import BadTarget, compile_everything, get_target, require_called

TRIAL_SECONDS = 20.0
AKAMAI_HOSTS = ".akamaiapis.net"
_SWITCH_KEY = re.compile(r"[A-Za-z0-9:_-]{0,100}")


class CredentialRefused(InvalidInput):
    """The vendor did not take it. Nothing was changed."""

    code = "credential_refused"


def connect(
    *, slug: str, credential: EdgeGridCredential, account_switch_key: str, actor: Actor, at: datetime
) -> Target:
    """Try the credential with one call, then let it replace the one the target has.

    Raises CredentialRefused, with the stored one still in force; BadTarget for a target that has no such vendor.
    Another host or account switch key may mean another account, so what must exist once is looked for again.
    """
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise BadTarget(f"{target.name} has no credential at Akamai.")
    if not target.is_leaving:
        require_called(target)
    key = switch_key_of(account_switch_key)
    base_url = address_of(credential.host, [str(target.config.get("base_url", ""))])
    try_out(base_url, credential, key)
    return keep(target.pk, base_url, credential, key, actor, at)


def switch_key_of(typed: str) -> str:
    """Raises BadTarget for what is none."""
    key = typed.strip()
    if not _SWITCH_KEY.fullmatch(key):
        complaint = "An account switch key has letters, digits, hyphens and a colon."
        raise BadTarget(complaint, fields={"account_switch_key": [complaint]})
    return key


def address_of(host: str, given: Collection[str]) -> str:
    """Akamai's own hosts, and the addresses ``given`` by an operator's command: nothing else gets signed calls."""
    present = next((one for one in given if one and host == one.partition("://")[2].rstrip("/")), "")
    if present:
        return present
    if host.endswith(AKAMAI_HOSTS):
        return f"https://{host}"
    complaint = f"The host must end in {AKAMAI_HOSTS}, as Akamai's Control Center shows it."
    raise CredentialRefused(complaint, fields={"edgerc": [complaint]})


def try_out(base_url: str, credential: EdgeGridCredential, account_switch_key: str) -> dict[int, str]:
    """One call that only reads: the groups Akamai shows this API client. Raises CredentialRefused in plain words."""
    credentials = Credentials(credential.client_token, credential.client_secret, credential.access_token)
    connection = Connection(account_switch_key, credential.max_body, TRIAL_SECONDS)
    api = AkamaiApi(base_url, credentials, connection)
    try:
        with as_documented():
            return looking.list_groups(api)
    except VendorError as error:
        words = explain(error)
        raise CredentialRefused(words, fields={"edgerc": [words]}) from error
    finally:
        api.close()


def keep(
    target_id: int, base_url: str, credential: EdgeGridCredential, account_switch_key: str, actor: Actor, at: datetime
) -> Target:
    """A credential that was tried is the target's from now on."""
    with transaction.atomic():
        target = Target.objects.select_for_update(of=("self",)).select_related("environment").get(pk=target_id)
        before, known = _said_of(target), _account(target)
        target.config = {
            **target.config,
            "base_url": base_url,
            "account_switch_key": account_switch_key,
            "max_body": credential.max_body,
        }
        target.secret_sealed = sealed(bytes(target.secret_sealed), credential)
        target.facts = {**target.facts, "connected_at": at.isoformat(), "connected_from": credential.source}
        if _account(target) != known:
            target.facts[UNSETTLED] = True
            compile_everything(target, topic="rollout.target.connected", cause=target.slug, at=at)
        target.attempts, target.retry_at, target.error, target.error_at = 0, None, "", None
        fields = ["config", "secret_sealed", "facts", "attempts", "retry_at", "error", "error_at"]
        target.save(update_fields=fields)
        record_target("target.connected", target, actor=actor, at=at, before=before, after=_said_of(target))
    return target


def _account(target: Target) -> tuple[object, object]:
    return target.config.get("base_url"), target.config.get("account_switch_key", "")


def sealed(before: bytes | None, credential: EdgeGridCredential) -> bytes:
    """The salt beside it stays, or every item at the edge would change."""
    stored = json.loads(vault.unseal(before)) if before else {}
    fresh = {
        "client_token": credential.client_token,
        "client_secret": credential.client_secret,
        "access_token": credential.access_token,
    }
    return vault.seal(json.dumps({**stored, **fresh}).encode())


def _said_of(target: Target) -> dict[str, object]:
    """What may be recorded and shown of a connection."""
    return {
        "host": str(target.config.get("base_url", "")).partition("://")[2],
        "account_switch_key": target.config.get("account_switch_key", ""),
        "from": target.facts.get("connected_from", ""),
        "at": target.facts.get("connected_at", ""),
    }
