"""Whether the console brings a target where it should be, or a team does from the export."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import transaction

from apps.audit.actors import Actor
from apps.audit.errors import InvalidInput
from apps.rollout.models import LEAVING, AddressList, Delivery, DriverName, Target
from apps.rollout.services.akamai import placing
from apps.rollout.services.akamai.leaving import LEFT
from apps.rollout.services.evidence import record_target
from apps.rollout.services.moving import NO_TROUBLE, UNSETTLED
from apps.rollout.services.targets import BadTarget, compile_everything, get_target, require_a_free_door, tell_meshes

_REFERENCE = re.compile(r"[A-Za-z0-9-]{1,64}")
LARGEST_ID = 2**31 - 1
BROUGHT_BY = (Delivery.DIRECT, Delivery.EXPORTED)


def set_delivery(
    *, slug: str, delivery: str, kv_token_ref: str = "", edgeworker_id: int | None = None, actor: Actor, at: datetime
) -> Target:
    """From ``exported`` on, nothing is asked of the vendor any more. Raises InvalidInput, BadTarget.

    The code needs the reference of the EdgeKV token it reads with; what the console found out while it called the
    vendor stays known. Back to ``direct``, the console looks for everything anew. A target that was taken out comes
    back by either. An export holds no lists of addresses, so an edge that has some is not to be brought by it.
    """
    if delivery not in BROUGHT_BY:
        raise InvalidInput(fields={"delivery": [f"Choose one of {', '.join(BROUGHT_BY)}."]})
    with transaction.atomic():
        target = Target.objects.select_for_update(of=("self",)).select_related("environment").get(pk=_pk(slug))
        before = _said(target)
        if target.is_removed:
            require_a_free_door(target.driver, target.environment, besides=target.pk)
            placing.forget(target)
            target.facts = {name: value for name, value in target.facts.items() if name not in (LEAVING, LEFT)}
        if delivery == Delivery.EXPORTED:
            if not target.is_exported:
                _require_no_lists(target)
            _learn(target, kv_token_ref.strip(), edgeworker_id)
        elif target.is_exported:
            target.facts = {**target.facts, UNSETTLED: True}
        target.delivery = delivery
        if _said(target) == before:
            return target
        for name, value in NO_TROUBLE.items():
            setattr(target, name, value)
        target.attempts, target.retry_at = 0, None
        target.save(update_fields=["facts", "delivery", "attempts", "retry_at", *NO_TROUBLE])
        compile_everything(target, topic="rollout.target.changed", cause=target.slug, at=at)
        tell_meshes(target, at)
        record_target("delivery.changed", target, actor=actor, at=at, before=before, after=_said(target))
    return target


def _pk(slug: str) -> int:
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise BadTarget(f"{target.name} is no edge: its nodes fetch what they need.")
    return target.pk


def _require_no_lists(target: Target) -> None:
    hosts = list(AddressList.objects.filter(target=target).order_by("host").values_list("host", flat=True)[:3])
    if hosts:
        complaint = f"An export holds no lists of addresses. Stop guarding {', '.join(hosts)} first."
        raise InvalidInput(complaint, fields={"delivery": [complaint]})


def keeps_lists(*, environment: str) -> bool:
    """Not at an edge that a team brings what an export says."""
    edges = Target.objects.filter(environment__slug=environment, driver=DriverName.AKAMAI)
    return not edges.filter(delivery=Delivery.EXPORTED).exists()


def _learn(target: Target, reference: str, edgeworker_id: int | None) -> None:
    facts = {name: value for name, value in target.facts.items() if name != UNSETTLED}
    reference = reference or str(facts.get("kv_token_ref", ""))
    if not _REFERENCE.fullmatch(reference):
        complaint = "Write the reference of the EdgeKV access token, as Akamai shows it: the code reads with it."
        raise InvalidInput(complaint, fields={"kv_token_ref": [complaint]})
    if edgeworker_id is not None and not 0 < edgeworker_id <= LARGEST_ID:
        complaint = "An EdgeWorker id is a whole number from 1."
        raise InvalidInput(complaint, fields={"edgeworker_id": [complaint]})
    facts["kv_token_ref"] = reference
    if edgeworker_id is not None:
        facts["edgeworker_id"] = edgeworker_id
    target.facts = facts


def _said(target: Target) -> dict[str, object]:
    """What may be recorded; the token's reference is not the token."""
    facts = target.facts
    return {
        "delivery": target.delivery,
        "edgeworker_id": facts.get("edgeworker_id"),
        "kv_token_ref": facts.get("kv_token_ref", ""),
    }
