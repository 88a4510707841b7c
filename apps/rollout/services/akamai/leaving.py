"""Taking a target out of Akamai: all that was made there for it, and nothing else.

Asked for by a person, once no property runs the code. From then on nothing is brought there any more, and a worker
takes away what is left, one part after the other. Each time it looks at what is there, so it may die anywhere. What
somebody else made stays: an EdgeWorker that a person chose, with versions that are not ours, and the namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.access import selectors as granted
from apps.audit.actors import SYSTEM, Actor
from apps.audit.errors import Refusal
from apps.catalog import selectors as catalog
from apps.outbox import nudge
from apps.rollout.drivers.akamai.api import PRODUCTION, STAGING, AkamaiApi
from apps.rollout.drivers.akamai.driver import AkamaiDriver
from apps.rollout.drivers.akamai.errors import as_documented
from apps.rollout.drivers.akamai.keystore import GOING, KeystoreDriver
from apps.rollout.drivers.akamai.stream import ACTIVATED, MOVING, StreamDriver
from apps.rollout.drivers.base import Plan, VendorError
from apps.rollout.models import (
    LEAVING,
    Activation,
    AddressList,
    Delivery,
    Drift,
    DriverName,
    EdgeMove,
    EdgeStream,
    EdgeToken,
    Expect,
    OriginCertificate,
    PendingChange,
    Release,
    RetiredVersion,
    Target,
    TargetArtifact,
)
from apps.rollout.services import moving, proving, releases, troubles
from apps.rollout.services.akamai import attaching, origin_certificate_steps, streaming_steps
from apps.rollout.services.akamai.attaching import PersonNeeded
from apps.rollout.services.akamai.placing import FOUND
from apps.rollout.services.doors import door_tasks, report_doors
from apps.rollout.services.driving import NotConnected, akamai_api, akamai_driver, is_here
from apps.rollout.services.evidence import CHANNEL, record_target, tell_pages
from apps.rollout.services.holding import hold_activations, hold_target
from apps.rollout.services.targets import BadTarget, get_target, require_called
from apps.rollout.states import OPEN_ACTIVATIONS, OPEN_RELEASES, ActivationState, ReleaseState, move

LEFT = "left"
"""In the target's ``facts``: when nothing of it was left."""

KNOWN = FOUND[0]
"""In its ``facts`` once it was set up."""

POLL, SOON = timedelta(seconds=10), timedelta(seconds=0.2)
VERSIONS_AT_ONCE = 50


class StillInUse(Refusal):
    """The message says what keeps it."""

    code = "still_in_use"
    default_message = "Something at Akamai still relies on this target."


@dataclass(frozen=True, slots=True)
class Part:
    """Something at Akamai, in words, and whether it is taken away."""

    what: str
    stays: bool = False


def hindrances(target: Target) -> list[str]:
    """What has to be done by hand before; nothing of it may be taken away unseen."""
    hosts = sorted(change.hostname for change in attaching.attached(target))
    found = [f"The property of {host} runs the code: take our rule out under Properties first." for host in hosts]
    if attaching.is_under_way(target):
        found.append("A change of a property is under way: finish or drop it first.")
    guarded = Exists(granted.list_guarded_hosts(target.environment.slug).filter(host=OuterRef("host")))
    lists = AddressList.objects.filter(target=target).annotate(guarded=guarded).order_by("host")
    return [*found, *(_of_list(host, kept) for host, kept in lists.values_list("host", "guarded"))]


def _of_list(host: str, guarded: bool) -> str:
    if guarded:
        return f"A list guards {host}: stop guarding it first."
    return f"{host} is guarded no longer, and its list is being emptied: see Lists of addresses."


def parts(target: Target) -> list[Part]:
    """What a person sees before saying yes."""
    worker, chosen = target.facts.get(KNOWN), target.config.get("edgeworker_id")
    if worker is None:
        return [Part("It was never set up as a whole: what was begun is deleted.")]
    items, tokens, stream_id, shown = _there(target)
    found = [Part(f"The code of EdgeWorker {worker} goes off both networks, and its versions are deleted.")]
    if chosen is None:
        found.append(Part(f"EdgeWorker {worker} is deleted."))
    else:
        found.append(Part(f"EdgeWorker {worker} stays, with the versions that are not ours.", stays=True))
    found.append(Part(f"{items} EdgeKV item{'s are' if items != 1 else ' is'} deleted on both networks."))
    found += [Part(f"The access token {name} is deleted.") for name in tokens]
    if stream_id is not None:
        found.append(Part(f"The stream {stream_id} is stopped and deleted."))
    if shown:
        found.append(Part("The versions of the client certificate are deleted."))
    return [*found, Part("The namespace stays: others may keep something in it.", stays=True)]


def _there(target: Target) -> tuple[int, list[str], int | None, bool]:
    """How many items, the names of the tokens, the stream, and whether there is a client certificate: in one look."""
    tokens = EdgeToken.objects.filter(target=target, gone_at=None).order_by("name").values("name")
    stream = EdgeStream.objects.filter(target=target).values("stream_id")
    shown = OriginCertificate.objects.filter(target=target, certificate_id__isnull=False)
    items = _items(target).order_by().values("target").annotate(many=Count("pk")).values("many")
    looks = (Coalesce(Subquery(items), 0), ArraySubquery(tokens), Subquery(stream), Exists(shown))
    found: tuple[int, list[str], int | None, bool] = Target.objects.filter(pk=target.pk).values_list(*looks).get()
    return found


def ask(*, slug: str, actor: Actor, at: datetime) -> Target:
    """From now on nothing is brought there, and what was made there is taken away. The caller pokes the target.

    Raises StillInUse with all that keeps it, PersonNeeded, BadTarget.
    """
    if not actor.id.startswith("person:"):
        raise PersonNeeded
    with transaction.atomic():
        target = hold_target(get_target(slug).pk)
        require_called(target)
        if target.driver != DriverName.AKAMAI:
            raise BadTarget(f"Nothing of {target.name} is at Akamai.")
        if keeps := hindrances(target):
            raise StillInUse(" ".join(keeps))
        stream = EdgeStream.objects.filter(target=target).first()
        certificate = OriginCertificate.objects.filter(target=target).first()
        remembered = {
            "asked_by": actor.name[:200],
            "stream": stream is not None,
            "stream_id": stream.stream_id if stream else None,
            "certificate": certificate is not None,
            "certificate_id": certificate.certificate_id if certificate else None,
        }
        for row in (stream, certificate):
            if row is not None:
                row.delete()
        target.facts = {**target.facts, LEAVING: remembered}
        target.delivery, target.attempts, target.retry_at = Delivery.REMOVED, 0, at
        for name, value in moving.NO_TROUBLE.items():
            setattr(target, name, value)
        target.save(update_fields=["facts", "delivery", "attempts", "retry_at", *moving.NO_TROUBLE])
        _let_go(target, at)
        record_target("target.leaving", target, actor=actor, at=at, after=remembered)
        tell_pages()
    return target


def _let_go(target: Target, at: datetime) -> None:
    """Nothing is on its way there any more, and no door there is called open. The caller holds the target."""
    PendingChange.objects.filter(target=target).delete()
    opened = Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).values_list("pk", flat=True)
    for activation in hold_activations(list(opened)).values():
        move(activation, ActivationState.SUPERSEDED)
        activation.save(update_fields=["state"])
    for release in Release.objects.select_for_update().filter(target=target, state__in=OPEN_RELEASES):
        releases.end(release, ReleaseState.OVERTAKEN, "The target was taken out of Akamai.", at)
    proving.ask_no_more(target, at)
    Drift.objects.filter(target=target, resolved_at=None).update(resolved_at=at, resolution="Taken out of Akamai.")
    tell(target, catalog.graph_services(None, target.environment.slug), at)
    doors = granted.list_proven_doors_at(environment_slug=target.environment.slug, point=target.point)
    _report(target, [(one, "failing") for one in doors.values_list("grant__public_id", flat=True)], at)


def tell(target: Target, services: Collection[str], at: datetime) -> None:
    """Whoever waits for a door there hears that it is gone. What was to be shut is shut once nothing is there."""
    tasks = door_tasks(services=services, point=target.point, environment=target.environment.slug)
    shut = "closed" if LEAVING not in target.facts else "closing"
    states = {Expect.ALLOW: "failing", Expect.DENY: shut}
    _report(target, [(task.grant_id, states[Expect(task.expect)]) for task in tasks], at)


def _report(target: Target, states: Sequence[tuple[str, str]], at: datetime) -> None:
    report_doors(target, states, f"{target.name} was taken out of Akamai: nobody comes in by it.", at)


# -- at Akamai ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Hands:
    """What takes away."""

    target: Target
    driver: AkamaiDriver
    api: AkamaiApi
    at: datetime

    @property
    def left(self) -> Mapping[str, object]:
        found: Mapping[str, object] = self.target.facts[LEAVING]
        return found

    @property
    def worker_is_ours(self) -> bool:
        return self.target.config.get("edgeworker_id") is None


def step(*, target: Target, at: datetime) -> bool:
    """Take away what can be taken away now. False: it is over, or waits. The caller holds the target's lock."""
    if LEAVING not in target.facts:
        return False
    try:
        with akamai_driver(target, at) as driver, closing(akamai_api(target)) as api, as_documented():
            hands = Hands(target, driver, api, at)
            waiting = next((words for part in PARTS if (words := part(hands))), "")
    except VendorError as error:
        if isinstance(error, NotConnected) and KNOWN not in target.facts:
            _finish(target, at)
            return False
        moving.put_off(target, str(error), troubles.explain(target, error), error.retry_after, at)
        waiting = ""
    else:
        if not waiting:
            _finish(target, at)
    if waiting:
        pause = SOON if is_here(target) else POLL
        told = {**moving.NO_TROUBLE, "waiting_for": waiting}
        Target.objects.filter(pk=target.pk).update(retry_at=at + pause, **told)
    nudge.publish(CHANNEL)
    return False


def _stream(hands: Hands) -> str:
    """By its name where a worker may have made it at the last moment."""
    if not hands.left["stream"]:
        return ""
    number, driver = hands.left["stream_id"], StreamDriver(hands.api)
    found = driver.find(streaming_steps.name_of(hands.target)) if number is None else driver.get(int(str(number)))
    if found is None:
        return ""
    if found.status == ACTIVATED:
        found = driver.deactivate(found.id)
    if found.status in MOVING:
        return f"The stream {found.id} is being stopped."
    driver.delete(found.id)
    return ""


def _code(hands: Hands) -> str:
    """Off both networks, unless a property runs it after all: whoever looks at that property would get errors."""
    code = hands.driver.code
    if KNOWN not in hands.target.facts:
        hands.driver.undo_setup()
        return ""
    if not code.exists():
        return ""
    if names := code.used_by():
        return f"The property {', '.join(names)} still runs the code; take the rule out of it at Akamai."
    if code.unsettled():
        return "An activation is still under way."
    taken = []
    for network in (PRODUCTION, STAGING):
        live = code.live_version(network)
        if live and _is_ours(hands, live):
            code.take_off(live, network, failures=hands.target.attempts)
            taken.append(f"{live} is going off {network.lower()}")
    return f"Version {', '.join(taken)}." if taken else ""


def _is_ours(hands: Hands, version: str) -> bool:
    ours = EdgeMove.objects.filter(target=hands.target, version=version)
    return hands.worker_is_ours or ours.exists()


def _worker(hands: Hands) -> str:
    """Its versions, whose names can never be used again there, and the EdgeWorker itself if we made it."""
    code = hands.driver.code
    if KNOWN not in hands.target.facts:
        return ""
    names = [str(row["version"]) for row in code.versions()] if code.exists() else []
    ours = [name for name in names if _is_ours(hands, name)]
    for version in ours[:VERSIONS_AT_ONCE]:
        RetiredVersion.objects.get_or_create(target=hands.target, version=version, defaults={"retired_at": hands.at})
        code.delete_version(version)
    if len(ours) > VERSIONS_AT_ONCE:
        return f"{len(ours) - VERSIONS_AT_ONCE} versions are still to be deleted."
    if hands.worker_is_ours:
        code.delete_worker()
    return ""


def _items(target: Target) -> QuerySet[TargetArtifact]:
    return TargetArtifact.objects.filter(target=target, path__contains="/").exclude(applied_sha256="")


def _store(hands: Hands) -> str:
    """The items, as many as the budget has room for."""
    paths = tuple(_items(hands.target).order_by("path").values_list("path", flat=True))
    done = hands.driver.apply(Plan(number=0, digest="", observed="", deletes=paths))
    TargetArtifact.objects.filter(target=hands.target, path__in=done.applied).update(applied_sha256="")
    if done.error:
        raise VendorError("EdgeKV", 0, done.error, done.retry_after, kind=done.trouble)
    return "" if done.done else done.waiting


def _tokens(hands: Hands) -> str:
    for token in EdgeToken.objects.filter(target=hands.target, gone_at=None).order_by("pk"):
        hands.driver.delete_token(token.name)
        token.gone_at = hands.at
        token.save(update_fields=["gone_at"])
    return ""


def _certificate(hands: Hands) -> str:
    if not hands.left["certificate"]:
        return ""
    keystore = KeystoreDriver(hands.api)
    known = hands.left["certificate_id"] or keystore.find(origin_certificate_steps.name_of(hands.target))
    number = int(str(known)) if known else None
    versions = (keystore.versions(number) if number is not None else None) or ()
    for version in versions:
        if number is not None and version.status != GOING:
            keystore.delete(number, version.number)
    return ""


PARTS: tuple[Callable[[Hands], str], ...] = (_stream, _code, _store, _tokens, _certificate, _worker)
"""In this order: nothing runs any more when what it reads goes, and what all else hangs on goes last. Each says what it
waits for."""


def _finish(target: Target, at: datetime) -> None:
    """Unless somebody wanted it back meanwhile."""
    with transaction.atomic():
        held = hold_target(target.pk)
        if LEAVING not in held.facts:
            return
        kept = {name: value for name, value in held.facts.items() if name not in (*FOUND, LEAVING)}
        held.facts = {**kept, LEFT: at.isoformat()}
        held.active_number, held.attempts, held.retry_at = 0, 0, None
        for name, value in moving.NO_TROUBLE.items():
            setattr(held, name, value)
        held.save(update_fields=["facts", "active_number", "attempts", "retry_at", *moving.NO_TROUBLE])
        TargetArtifact.objects.filter(target=held, sha256="").delete()
        TargetArtifact.objects.filter(target=held).update(applied_sha256="")
        if target.config.get("edgeworker_id") is None:
            RetiredVersion.objects.filter(target=held).delete()
            EdgeMove.objects.filter(target=held).delete()
        tell(held, catalog.graph_services(None, held.environment.slug), at)
        record_target("target.left", held, actor=SYSTEM, at=at)
