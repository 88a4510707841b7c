"""Taking a cluster out: all that is ours there goes, and nothing else.

A person asks for it, having seen what it does to traffic. From then on nothing is compiled for the cluster any more; a
revision that holds nothing is brought there like any other, by the console or by the agent inside, and what bears our
labels besides goes last. Each time it looks at what is there, so it may die anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.access import selectors as granted
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.compiler.graph import AccessGraph
from apps.outbox import nudge
from apps.rollout.cluster.settings import NETWORK, SMI, settings_of
from apps.rollout.drivers.base import Plan, VendorError
from apps.rollout.drivers.kubernetes.kinds import KINDS, TRAFFIC_TARGETS
from apps.rollout.emitting import COMMON, Emitted
from apps.rollout.models import (
    LEAVING,
    Activation,
    Delivery,
    Drift,
    DriverName,
    Expect,
    PendingChange,
    Shard,
    Sight,
    Target,
    TargetArtifact,
)
from apps.rollout.services import moving, proving, revising, troubles
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.cluster.closing import NETWORK_POLICIES
from apps.rollout.services.cluster.connecting import AGENT
from apps.rollout.services.cluster.driving import AGREED, CONFLICTS, HELD, TAKEN, cluster_driver, held_of
from apps.rollout.services.doors import JOINED, door_tasks, report_doors
from apps.rollout.services.evidence import CHANNEL, record_target, tell_pages
from apps.rollout.services.holding import hold_activations, hold_target
from apps.rollout.services.targets import JOINED_ANEW, BadTarget, TakenOut, compile_everything, get_target
from apps.rollout.states import OPEN_ACTIVATIONS, UNKNOWN, ActivationState, move

LEFT = "left"
"""In the target's ``facts``: when nothing of it was left."""
TOPIC = "rollout.target.leaving"
AGAIN = timedelta(seconds=10)
WAYS_IN = frozenset(
    {"virtualservers.k8s.nginx.org", "virtualserverroutes.k8s.nginx.org", "httproutes.gateway.networking.k8s.io"}
)

EVERYBODY = "Whoever is in the mesh may call it."
NOBODY = "Nobody may call it: the mesh lets in only who is named."
CONNECTS = "Every pod that reaches it may connect, unless a NetworkPolicy of somebody else keeps it out."
NO_WAY_IN = "Calls from outside find no way to it."


class PlanMoved(Refusal):
    code = "plan_moved"
    default_message = "What would be taken away changed since you looked. Look again."


class NotTakenOut(Refusal):
    code = "not_taken_out"
    default_message = "This cluster was not taken out."


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of calls to a service, in words. ``opens``: more may call it than may now."""

    service: str
    opens: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Going:
    """What a person sees before saying yes, as of revision ``number``."""

    number: int
    objects: Sequence[tuple[str, int]]
    fates: Sequence[Fate]

    @property
    def opened(self) -> int:
        return sum(fate.opens for fate in self.fates)


def going(target: Target) -> Going:
    """Those that are opened come first. Nothing is asked of the cluster."""
    rows = TargetArtifact.objects.filter(target=target).exclude(applied_sha256="").values_list("service", "path")
    kinds: dict[str, set[str]] = {}
    many: Counter[str] = Counter()
    for service, path in rows:
        kind = path.split("/")[1]
        kinds.setdefault(service, set()).add(kind)
        many[KINDS[kind].kind] += 1
    denies = settings_of(target.config).access_control == "deny"
    fates = [_fate(service, found, denies=denies) for service, found in kinds.items() if service != COMMON]
    return Going(
        target.latest_number, sorted(many.items()), sorted(fates, key=lambda fate: (not fate.opens, fate.service))
    )


def _fate(service: str, kinds: Collection[str], *, denies: bool) -> Fate:
    meshed, isolated = TRAFFIC_TARGETS in kinds, NETWORK_POLICIES in kinds
    shut = meshed and denies
    said = [
        (shut, NOBODY),
        (meshed and not denies, EVERYBODY),
        (isolated and not shut, CONNECTS),
        (bool(WAYS_IN & set(kinds)), NO_WAY_IN),
    ]
    return Fate(service, (meshed or isolated) and not shut, " ".join(words for holds, words in said if holds))


def ask(*, slug: str, number: int, actor: Actor, at: datetime) -> Target:
    """From now on nothing more is brought there, and what is ours there goes. The caller pokes the target.

    ``number`` is the revision whose plan was shown. Raises PersonNeeded, BadTarget, TakenOut, PlanMoved.
    """
    with transaction.atomic():
        target = _hold(slug, actor)
        if not target.is_kept:
            raise TakenOut
        if target.latest_number != number:
            raise PlanMoved
        said = {"asked_by": actor.name[:200], "asked_at": at.isoformat()}
        kept = {name: value for name, value in target.facts.items() if name not in (HELD, TAKEN, CONFLICTS, LEFT)}
        target.facts = {**kept, LEAVING: said}
        _save(target, retry_at=at)
        PendingChange.objects.filter(target=target).delete()
        proving.ask_no_more(target, at)
        _empty(target, at)
        Drift.objects.filter(target=target, resolved_at=None).update(resolved_at=at, resolution="Taken out.")
        _tell_of_everything(target, at)
        record_target("target.leaving", target, actor=actor, at=at, after={"revision": number})
        tell_pages()
    return target


def _hold(slug: str, actor: Actor) -> Target:
    if not actor.id.startswith("person:"):
        raise PersonNeeded
    target = hold_target(get_target(slug).pk)
    if target.driver != DriverName.KUBERNETES:
        raise BadTarget(f"{target.name} is no Kubernetes cluster.")
    return target


def _save(target: Target, *, retry_at: datetime | None) -> None:
    target.attempts, target.retry_at = 0, retry_at
    for name, value in moving.NO_TROUBLE.items():
        setattr(target, name, value)
    target.save(update_fields=["facts", "delivery", "attempts", "retry_at", *moving.NO_TROUBLE])


def _empty(target: Target, at: datetime) -> None:
    """A revision that holds nothing. What is compiled after it, some day, is the first again."""
    rows = TargetArtifact.objects.filter(target=target).exclude(sha256="")
    nothing: dict[str, tuple[()]] = dict.fromkeys(rows.values_list("service", flat=True).distinct(), ())
    Shard.objects.filter(target=target).delete()
    revising.revise(
        target=target,
        emitted=Emitted(nothing, {}, {}),
        refused={},
        graph=AccessGraph(),
        causes=[(TOPIC, target.slug)],
        trials=0,
        milliseconds=0,
        at=at,
    )


# -- doors -------------------------------------------------------------------------------------------------------------
def _tell_of_everything(target: Target, at: datetime) -> None:
    """Doors that others keep as well are asked about anew, without this cluster; of the others it is said."""
    services = held_of(target, catalog.graph_services(None, target.environment.slug).keys())
    others = _other_keepers(target)
    for one in others:
        rows = [
            PendingChange(target=one, service=slug, topic=TOPIC, cause=target.slug, at=at, retry_at=at)
            for slug in sorted(held_of(one, services))
        ]
        PendingChange.objects.bulk_create(rows, batch_size=500)
    alone = _alone(target, services)
    proven = granted.list_proven_doors_at(environment_slug=target.environment.slug, point=target.point)
    mine = proven.filter(grant__service__slug__in=alone).values_list("grant__public_id", flat=True)
    _report(target, [(grant_id, "failing") for grant_id in mine], at)
    tell(target, alone, at)


def _other_keepers(target: Target) -> list[Target]:
    rows = Target.objects.filter(environment=target.environment, point=target.point).exclude(pk=target.pk)
    return [one for one in rows.select_related("environment").order_by("slug") if one.is_kept]


def _alone(target: Target, services: Collection[str]) -> set[str]:
    """Those of the services that only this cluster kept."""
    mine = held_of(target, services)
    return mine.difference(*(held_of(one, mine) for one in _other_keepers(target)))


def tell(target: Target, services: Collection[str], at: datetime) -> None:
    """Whoever waits for a door there hears that it is gone. One that was to be shut is shut where calls are: it fails
    where they go through unchecked."""
    tasks = door_tasks(services=_alone(target, services), point=target.point, environment=target.environment.slug)
    states = {Expect.ALLOW: "failing", Expect.DENY: _shut(target)}
    _report(target, [(task.grant_id, states[Expect(task.expect)]) for task in tasks], at)


def _shut(target: Target) -> str:
    chosen = settings_of(target.config)
    checked = {SMI, NETWORK} & set(chosen.emitters)
    if checked and not (SMI in checked and chosen.access_control == "deny"):
        return "failing"
    return "closing" if target.is_leaving else "closed"


def _report(target: Target, states: Sequence[tuple[str, str]], at: datetime) -> None:
    report_doors(target, states, f"{target.name} was taken out: nothing of ours checks callers there any more.", at)


# -- in the cluster ----------------------------------------------------------------------------------------------------
def step(*, target: Target, at: datetime) -> bool:
    """The empty revision is there, or there was never any: remove what is left of ours, and be done.

    False: it is over, or waits. The caller holds the target's lock.
    """
    came_back = 0
    try:
        if target.latest_number and not target.is_pulled:
            came_back = _sweep(target)
    except VendorError as error:
        moving.put_off(target, str(error), troubles.explain(target, error), error.retry_after, at)
    else:
        _finish(target, at) if not came_back else _wait(target, came_back, at)
    nudge.publish(CHANNEL)
    return False


def _sweep(target: Target) -> int:
    """How much is there again after all of it was removed: somebody else brings it. Raises VendorError."""
    with cluster_driver(target) as driver:
        left = driver.leftovers()
        if not left:
            return 0
        done = driver.apply(Plan(target.latest_number, digest="", observed="", deletes=left))
        if done.error:
            raise VendorError("The cluster", 0, done.error, done.retry_after, kind=done.trouble)
        return len(driver.leftovers())


def _wait(target: Target, many: int, at: datetime) -> None:
    words = f"{many} of our objects came back after they were removed: something else in the cluster brings them."
    Target.objects.filter(pk=target.pk).update(retry_at=at + AGAIN, **{**moving.NO_TROUBLE, "waiting_for": words})


def _finish(target: Target, at: datetime, *, verb: str = "target.left", actor: Actor = SYSTEM) -> None:
    """Unless somebody wanted it back meanwhile."""
    with transaction.atomic():
        held = hold_target(target.pk)
        if not held.is_leaving:
            return
        kept = {name: value for name, value in held.facts.items() if name not in (LEAVING, AGREED)}
        held.facts, held.delivery = {**kept, LEFT: at.isoformat()}, Delivery.REMOVED
        _save(held, retry_at=None)
        for rows in (PendingChange, TargetArtifact, Sight):
            rows.objects.filter(target=held).delete()
        tell(held, catalog.graph_services(None, held.environment.slug).keys(), at)
        record_target(verb, held, actor=actor, at=at)
        tell_pages()


# -- otherwise ---------------------------------------------------------------------------------------------------------
def forget(*, slug: str, actor: Actor, at: datetime) -> Target:
    """The cluster is no more, or will never answer: nothing is waited for. Raises NotTakenOut, PersonNeeded."""
    with transaction.atomic():
        target = _hold(slug, actor)
        if not target.is_leaving:
            raise NotTakenOut
        opened = Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).values_list("pk", flat=True)
        for activation in hold_activations(list(opened)).values():
            move(activation, ActivationState.SUPERSEDED)
            activation.save(update_fields=["state"])
        _finish(target, at, verb="target.forgotten", actor=actor)
    return get_target(slug)


def back(*, slug: str, actor: Actor, at: datetime) -> Target:
    """It is to hold again what the grants say: as at first, closings are agreed to anew once it was all gone.

    Raises NotTakenOut, PersonNeeded. The caller pokes the target.
    """
    with transaction.atomic():
        target = _hold(slug, actor)
        if target.is_kept:
            raise NotTakenOut
        kept = {name: value for name, value in target.facts.items() if name not in (LEAVING, LEFT)}
        target.facts = {**kept, JOINED: at.isoformat(), moving.UNSETTLED: True}
        target.delivery = Delivery.PULLED if target.config.get("reached") == AGENT else Delivery.DIRECT
        _save(target, retry_at=None)
        TargetArtifact.objects.filter(target=target).update(applied_sha256=UNKNOWN)
        compile_everything(target, topic=JOINED_ANEW, cause=target.slug, at=at)
        record_target("target.brought_back", target, actor=actor, at=at)
        tell_pages()
    return target
