"""Which EdgeWorker and which EdgeKV namespace a target uses: its own, made by it, or what a person chose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.audit.actors import Actor
from apps.rollout.drivers.akamai import looking
from apps.rollout.drivers.akamai.api import AkamaiApi
from apps.rollout.drivers.akamai.driver import own_edgeworker, store_of
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.words import explain
from apps.rollout.drivers.base import VendorError
from apps.rollout.emitting import COMMON
from apps.rollout.models import Delivery, DriverName, EdgeMove, Target, TargetArtifact
from apps.rollout.services.driving import akamai_api, edgeworker_name
from apps.rollout.services.evidence import record_target
from apps.rollout.services.targets import BadTarget, compile_everything, get_target
from apps.rollout.states import UNKNOWN
from apps.rollout.surroundings import DEFAULT_NAMESPACE, namespace_of

PLACED = "rollout.target.placed"
FOUND = ("edgeworker_id", "kv_token_ref")
ACCOUNT = ("account_id", "edgekv_cpcode")
MOST_PK = 2**62
LOOK_SECONDS = 20.0
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Place:
    """``edgeworker_id`` None: the target's own, found by its name or made. ``makes_namespace``: where it is missing.

    ``replaces``: a person knows that what runs on the chosen EdgeWorker now will be replaced.
    """

    edgeworker_id: int | None = None
    namespace: str = DEFAULT_NAMESPACE
    makes_namespace: bool = True
    replaces: bool = False


def place_of(target: Target) -> Place:
    return Place(
        edgeworker_id=target.config.get("edgeworker_id"),
        namespace=namespace_of(target),
        makes_namespace=bool(target.config.get("makes_namespace", True)),
    )


def place(*, slug: str, wish: Place, actor: Actor, at: datetime) -> Target:
    """Look at what was chosen, then use it from now on. What was used before stays at Akamai as it is.

    Raises BadTarget with what is wrong by field; nothing was changed then. The caller pokes the target.
    """
    target = get_target(slug)
    if target.driver != DriverName.AKAMAI:
        raise BadTarget(f"{target.name} has no EdgeWorker.")
    look(target, wish)
    with transaction.atomic():
        held = Target.objects.select_for_update(of=("self",)).select_related("environment").get(pk=target.pk)
        before = place_of(held)
        chosen = {"edgeworker_id": wish.edgeworker_id, "namespace": wish.namespace}
        kept = {name: value for name, value in held.config.items() if name != "edgeworker_id"}
        made = {name: value for name, value in chosen.items() if value is not None}
        held.config = {**kept, **made, "makes_namespace": wish.makes_namespace}
        if place_of(held) == before:
            return held
        held.save(update_fields=["config"])
        if _is_elsewhere(held, before):
            forget(held)
            compile_everything(held, topic=PLACED, cause=held.slug, at=at)
        after = {name: value for name, value in asdict(wish).items() if name != "replaces"}
        record_target("target.placed", held, actor=actor, at=at, before=asdict(before), after=after)
    return held


def sharing(target: Target, namespace: str, learned: Mapping[str, object]) -> Target | None:
    """Another target of the same account that keeps its grants in this namespace: each would overwrite the other's.

    ``learned``: what Akamai told just now of the account. Of two that are set up at once the older one is there first.
    """
    there = Q(facts__has_key=FOUND[1]) | Q(pk__lt=target.pk or MOST_PK, delivery=Delivery.DIRECT)
    rows = Target.objects.filter(there, driver=DriverName.AKAMAI).exclude(pk=target.pk)
    known = _marks(target, learned)
    same = (one for one in rows.order_by("pk") if known & _marks(one, one.facts))
    return next((one for one in same if namespace_of(one) == namespace), None)


def _marks(target: Target, facts: Mapping[str, object]) -> set[tuple[object, ...]]:
    """By which an account is told from others. Two account switch keys may mean the same one, so the key is not enough:
    the account's own name and the code EdgeKV's traffic is counted under are compared as well.
    """
    reached = target.config.get("base_url"), target.config.get("account_switch_key") or ""
    return {reached, *((name, facts[name]) for name in ACCOUNT if facts.get(name))}


def look(target: Target, wish: Place) -> None:
    """That it is there, and that a person knows of what runs there. Raises BadTarget by field."""
    fields: dict[str, list[str]] = {}
    if not _NAMESPACE.fullmatch(wish.namespace):
        raise BadTarget(fields={"namespace": ["A namespace has 1 to 32 letters, digits, hyphens and underscores."]})
    api = akamai_api(target, read_seconds=LOOK_SECONDS)
    try:
        with as_documented():
            fields |= _look_around(api, target, wish)
    except VendorError as error:
        raise BadTarget(explain(error)) from error
    finally:
        api.close()
    if fields:
        raise BadTarget(fields=fields)


def _look_around(api: AkamaiApi, target: Target, wish: Place) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    if other := sharing(target, wish.namespace, store_of(api)):
        fields["namespace"] = [f"{other.name} keeps its grants in {wish.namespace}. Name another."]
    elif not wish.makes_namespace:
        fields |= _look_at_namespace(api, wish.namespace)
    number = wish.edgeworker_id if wish.edgeworker_id is not None else _of_its_name(api, target)
    if number is not None:
        fields |= _look_at_worker(api, target, number, replaces=wish.replaces)
    return fields


def _of_its_name(api: AkamaiApi, target: Target) -> int | None:
    """An EdgeWorker that a new target would take for its own: somebody may have made it, another console perhaps."""
    if FOUND[0] in target.facts:
        return None
    row = own_edgeworker(api, edgeworker_name(target), int(target.config["group_id"]))
    return int(row["edgeWorkerId"]) if row else None


def _look_at_worker(api: AkamaiApi, target: Target, number: int, *, replaces: bool) -> dict[str, list[str]]:
    found = looking.find_worker(api, number)
    if found is None:
        return {"edgeworker_id": [f"Akamai knows no EdgeWorker {number}, or this API client may not see it."]}
    ours = EdgeMove.objects.filter(target_id=target.pk, version=found.running).exists()
    if found.running and not ours and not replaces:
        return {"replaces": [f"Version {found.running} runs on {found.name} now. Say that it may be replaced."]}
    return {}


def _look_at_namespace(api: AkamaiApi, namespace: str) -> dict[str, list[str]]:
    network = looking.network_without(api, namespace)
    return {"namespace": [f"There is no namespace {namespace} on {network.lower()}."]} if network else {}


def _is_elsewhere(target: Target, before: Place) -> bool:
    now = place_of(target)
    same_worker = now.edgeworker_id in (before.edgeworker_id, target.facts.get("edgeworker_id"))
    return now.namespace != before.namespace or not same_worker


def forget(target: Target) -> None:
    """Nothing is known to be there any more: all is looked for, made and brought there once it is compiled again.

    The code that is known holds a token for the old place, so it is not even wanted until it is compiled again.
    """
    target.facts = {name: value for name, value in target.facts.items() if name not in FOUND}
    target.attempts, target.retry_at, target.error, target.error_at, target.trouble = 0, None, "", None, ""
    target.save(update_fields=["facts", "attempts", "retry_at", "error", "error_at", "trouble"])
    rows = TargetArtifact.objects.filter(target=target).exclude(sha256="")
    rows.update(applied_sha256=UNKNOWN)
    rows.filter(service=COMMON).update(sha256="")
    EdgeMove.objects.filter(target=target).delete()
