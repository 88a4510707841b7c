"""A new edge at Akamai. Everything is tried before it is made, so that a refusal leaves nothing behind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.rollout.akamai.edgerc import EdgeGridCredential
from apps.rollout.drivers.akamai import looking
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.models import DriverName, Target
from apps.rollout.services import connecting
from apps.rollout.services.akamai import placing
from apps.rollout.services.akamai.placing import Place
from apps.rollout.services.akamai.typed import is_entry
from apps.rollout.services.driving import akamai_api
from apps.rollout.services.targets import BadTarget, TargetSpec, make_target, require_new

MOST_NAMED = 10


def add(
    *,
    spec: TargetSpec,
    credential: EdgeGridCredential,
    account_switch_key: str,
    wish: Place,
    actor: Actor,
    at: datetime,
) -> Target:
    """Without a ``group_id`` in the spec's config the only group the API client sees is taken. ``probe_url`` there:
    where its doors are called, when not at their hosts. The caller pokes it.

    Raises TargetExists, CredentialRefused, BadTarget.
    """
    require_new(spec)
    _require_entry(str(spec.config.get("probe_url", "")))
    key = connecting.switch_key_of(account_switch_key)
    base_url = connecting.address_of(credential.host, _given())
    groups = connecting.try_out(base_url, credential, key)
    config = {**spec.config, "group_id": _group(spec.config.get("group_id"), groups)}
    newcomer = _newcomer(replace(spec, config=config), base_url, key, credential)
    _require_contract(newcomer, str(config.get("contract_id", "")))
    placing.look(newcomer, wish)
    place = {"namespace": wish.namespace, "makes_namespace": wish.makes_namespace}
    chosen = {} if wish.edgeworker_id is None else {"edgeworker_id": wish.edgeworker_id}
    with transaction.atomic():
        target = make_target(spec=replace(spec, config={**config, **place, **chosen}), actor=actor, at=at)
        return connecting.keep(target.pk, base_url, credential, key, actor, at)


def _given() -> list[str]:
    """Where targets are reached now: at Akamai, or where an operator said by command."""
    rows = Target.objects.filter(driver=DriverName.AKAMAI, config__has_key="base_url")
    return [str(address) for address in rows.values_list("config__base_url", flat=True)]


def _group(wanted: object, held: Mapping[int, str]) -> int:
    """Raises BadTarget, naming the groups there are to choose from."""
    if wanted is None and len(held) == 1:
        return next(iter(held))
    if isinstance(wanted, int) and wanted in held:
        return wanted
    named = ", ".join(f"{number} ({name})" for number, name in list(held.items())[:MOST_NAMED])
    complaint = (
        f"Choose one of the groups Akamai shows this API client: {named}."
        if held
        else "Akamai shows this API client no group with EdgeWorkers. Give it access to one in Control Center."
    )
    raise BadTarget(complaint, fields={"group_id": [complaint]})


def _require_entry(typed: str) -> None:
    if typed and not is_entry(typed):
        complaint = "Write a host that stands for the edge, such as api.example.com.edgekey.net."
        raise BadTarget(complaint, fields={"probe_url": [complaint]})


def _require_contract(target: Target, wanted: str) -> None:
    """Raises BadTarget, naming the contracts there are to choose from."""
    if not wanted:
        return
    try:
        with closing(akamai_api(target, read_seconds=connecting.TRIAL_SECONDS)) as api, as_documented():
            held = looking.list_contracts(api)
    except VendorError as error:
        raise BadTarget(explain(error), fields={"contract_id": [explain(error)]}) from error
    if wanted not in held:
        complaint = f"EdgeWorkers is not on this contract. It is on: {', '.join(held[:MOST_NAMED]) or 'none'}."
        raise BadTarget(complaint, fields={"contract_id": [complaint]})


def _newcomer(spec: TargetSpec, base_url: str, key: str, credential: EdgeGridCredential) -> Target:
    """What the target will be, to look around with; not saved."""
    reached = {"base_url": base_url, "account_switch_key": key, "max_body": credential.max_body}
    secret = connecting.sealed(None, credential)
    return Target(slug=spec.slug, driver=DriverName.AKAMAI, config={**spec.config, **reached}, secret_sealed=secret)
