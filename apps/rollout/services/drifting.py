"""Reading back what targets really hold, and putting back what somebody else changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.audit.actors import Actor
from apps.audit.errors import NotFound, Refusal
from apps.compiler.artifacts import Artifact
from apps.rollout.content import load
from apps.rollout.drivers.akamai.code import code_version
from apps.rollout.drivers.akamai.driver import is_code
from apps.rollout.drivers.akamai.watch import FAILOVER, ORIGINS, POSITION, text_diff
from apps.rollout.drivers.base import CODE_GROUP, VendorError
from apps.rollout.emitting import COMMON
from apps.rollout.models import Activation, Drift, DriverName, Node, Revision, Sight, Target, TargetArtifact
from apps.rollout.services import moving, releases, revising, troubles
from apps.rollout.services.akamai import attaching, property_watching
from apps.rollout.services.cluster import drift as cluster_drift
from apps.rollout.services.cluster import objects as cluster_objects
from apps.rollout.services.compiling import current_code
from apps.rollout.services.differences import MOST_DIFF, STILL_GRANTED, UNSIGNED, Difference
from apps.rollout.services.driving import akamai_driver, exported_driver, is_live
from apps.rollout.services.evidence import record_target, tell_pages
from apps.rollout.services.holding import hold_target
from apps.rollout.states import OPEN_ACTIVATIONS, UNKNOWN

LISTED_EVERY = timedelta(minutes=10)
ITEMS_AT_ONCE = 50
"""Reading is limited by the vendor: so many items a minute, in turn."""

FOREIGN = "This code was not made here, or was not seen to be good here: nobody knows what it lets through."
BY_ITSELF = "A node puts itself right."


class NotOurs(Refusal):
    code = "node_puts_back_itself"
    default_message = "A node fetches its configuration by itself; look at the node."


class NotOurRuleToChange(Refusal):
    code = "not_our_rule"
    default_message = "This is set outside our rule. Change it in Akamai's Property Manager."


def observe_all(*, at: datetime) -> None:
    """A cluster that is watched is read back as a whole only now and then, in case its watch missed something."""
    for target in Target.objects.order_by("slug"):
        if not (target.is_watched(at) and target.listed_at and target.listed_at > at - LISTED_EVERY):
            observe(slug=target.slug, at=at)


def observe(*, slug: str, at: datetime, everything: bool = False) -> int | None:
    """Compare the target with what it should hold; returns how many differences there are.

    None when it cannot be told now: while an activation is under way, or when the vendor does not answer. Of a cluster
    what is applied already is told at any time: one object that somebody else keeps from us must not hide the others.
    """
    target = Target.objects.select_related("environment").get(slug=slug)
    is_pushed = target.driver == DriverName.KUBERNETES and not target.is_pulled
    under_way = not is_pushed and Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).exists()
    if (under_way and not target.is_pulled) or not target.is_kept or moving.needs_setup(target):
        return None
    if target.driver == DriverName.KUBERNETES and target.is_pulled:
        return _observe_pulled(target, at, under_way=under_way)
    try:
        looked_at, found = _compare(target, at, everything=everything)
    except VendorError as error:
        note_silence(target, error, at)
        return None
    note(target, looked_at, found, at, whole=True)
    return len(found)


def note_silence(target: Target, error: VendorError, at: datetime) -> None:
    """The vendor did not say what is there."""
    trouble = troubles.explain(target, error).code
    Target.objects.filter(pk=target.pk).update(error=str(error), error_at=at, trouble=trouble)


def _observe_pulled(target: Target, at: datetime, *, under_way: bool) -> int | None:
    """As its agent saw it last, and dated so; None before it looked. While a revision is on its way to it, an agent
    that is behind is no difference."""
    looked_at: set[str] = set()
    found: list[Difference] = []
    if not under_way:
        looked_at, found = _compare_nodes(target, at)
    seen = Sight.objects.filter(target=target).exclude(seen_at=None).first()
    if seen is not None:
        inside, differs = cluster_drift.compare_seen(target, seen)
        looked_at, found = looked_at | inside, [*found, *differs]
    seen_at = seen.seen_at if seen is not None else None
    note(target, looked_at, found, seen_at or at, whole=True, seen=seen is not None)
    return len(found) if seen is not None else None


def _compare(target: Target, at: datetime, *, everything: bool) -> tuple[set[str], list[Difference]]:
    """What was looked at, and what of it differs."""
    if target.is_fetched:
        return _compare_nodes(target, at)
    if target.driver == DriverName.KUBERNETES:
        seen = cluster_drift.compare(target)
        return seen.looked_at, seen.found
    if target.is_exported:
        return _compare_exported(target, at, everything=everything)
    items = _chosen(target, everything=everything)
    with akamai_driver(target, at) as driver:
        observed = driver.observe(items)
        strange = driver.listed_items()
        known = set(TargetArtifact.objects.filter(target=target, path__in=strange).values_list("path", flat=True))
        found = [
            _item(item, held, driver.held_text(item.path))
            for item in items
            if (held := observed.artifacts[item.path]) != item.sha256
        ]
        found += [_stranger(path, driver.held_text(path)) for path in strange if path not in known]
    found += _compare_code(target, observed.code_version)
    looked_at = {CODE_GROUP, *(item.path for item in items), *strange}
    if property_watching.is_due(target, at, anyhow=everything):
        looked_at |= _compare_properties(target, found, at)
    return looked_at, found


def _item(item: Artifact, held: str, text: str) -> Difference:
    diff = text_diff(item.content.decode(), text)[:MOST_DIFF]
    if not held:
        return Difference(item.path, item.sha256, held, "The item is gone.", STILL_GRANTED, diff=diff)
    return Difference(item.path, item.sha256, held, "The item was changed.", UNSIGNED, opens=True, diff=diff)


def _stranger(path: str, text: str) -> Difference:
    diff = text_diff("", text)[:MOST_DIFF]
    return Difference(path, "", "present", "Nobody here made this item.", UNSIGNED, opens=True, diff=diff)


def _compare_properties(target: Target, found: list[Difference], at: datetime) -> set[str]:
    """Adds what differs; the paths that were looked at, those noted before among them."""
    faults = property_watching.read(target)
    found += [
        Difference(path, one.expected, one.observed, one.detail, one.why_not, one.opens, one.diff[:MOST_DIFF])
        for path, one in faults.items()
    ]
    with transaction.atomic():
        held = hold_target(target.pk)
        held.facts = {**held.facts, property_watching.READ_AT: at.isoformat()}
        held.save(update_fields=["facts"])
    noted = Drift.objects.filter(target=target, resolved_at=None, path__startswith=property_watching.PREFIX)
    return {*faults, *noted.values_list("path", flat=True)}


def _chosen(target: Target, *, everything: bool) -> tuple[Artifact, ...]:
    """Those that were not looked at for longest, or all."""
    rows = TargetArtifact.objects.filter(target=target, sha256=F("applied_sha256")).exclude(service=COMMON)
    chosen = rows.order_by(F("checked_at").asc(nulls_first=True), "path")
    return load(list(chosen if everything else chosen[:ITEMS_AT_ONCE]))


def _compare_exported(target: Target, at: datetime, *, everything: bool) -> tuple[set[str], list[Difference]]:
    """By what the edge itself says it holds. An item nobody here made is not seen this way."""
    items = _chosen(target, everything=everything)
    driver = exported_driver(target, at)
    observed = driver.observe(items)
    found = [
        Difference(item.path, item.sha256, held, "The edge does not show this item as it was exported.")
        for item in items
        if (held := observed.artifacts.get(item.path, item.sha256)) != item.sha256
    ]
    if observed.code_version != driver.code_mark:
        wanted = code_version(current_code(target))
        found.append(
            Difference(CODE_GROUP, wanted, observed.code_version, "The edge runs other code than was exported.")
        )
    return {CODE_GROUP, *observed.artifacts}, found


def _compare_code(target: Target, live: str) -> Iterable[Difference]:
    wanted = code_version(current_code(target))
    if wanted and live != wanted:
        ours = live != "" and releases.was_good(target, live)
        why_not = "" if ours else FOREIGN
        yield Difference(CODE_GROUP, wanted, live, f"The live version is {live or 'none'}.", why_not, opens=not ours)


def _compare_nodes(target: Target, at: datetime) -> tuple[set[str], list[Difference]]:
    revision = Revision.objects.filter(target=target, number=target.active_number).first()
    wanted = revision.digest if revision else ""
    found: list[Difference] = []
    nodes = list(Node.objects.filter(target=target, applies=True))
    for node in nodes:
        if not is_live(node, at):
            seen = f"{node.last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if node.last_seen_at else "never"
            found.append(Difference(f"node/{node.name}", "online", "offline", f"Last heard of: {seen}.", BY_ITSELF))
        elif wanted and node.active_digest != wanted:
            detail = f"It has revision {node.active_number}. {node.error}".strip()
            found.append(Difference(f"node/{node.name}", wanted, node.active_digest, detail, BY_ITSELF))
    return {f"node/{node.name}" for node in nodes}, found


def note(
    target: Target,
    looked_at: set[str],
    differing: Iterable[Difference],
    at: datetime,
    *,
    whole: bool,
    seen: bool = True,
) -> None:
    """Open, keep or close a row for each path that was looked at. ``whole``: all that differs is among them; ``seen``:
    the target was looked at, and not only who keeps it.

    ``at`` is when that look began: several may be at it, and what a later look noted meanwhile stays. An agent looks
    alone, and says by its own clock how long ago that was: what it says last counts.
    """
    found = {one.path: one for one in differing}
    with transaction.atomic():
        held = hold_target(target.pk)
        rows = Drift.objects.select_for_update(of=("self",)).filter(target=target, resolved_at=None)
        opened = {row.path: row for row in (rows if whole else rows.filter(path__in=looked_at))}
        gone = [row for path, row in opened.items() if path not in found and (held.is_pulled or row.seen_at <= at)]
        closed = _close(gone, looked_at, at)
        fresh = _open(target, found if held.is_pulled else _still_so(target, found, opened, at), opened, at)
        TargetArtifact.objects.filter(target=target, path__in=looked_at).update(checked_at=at)
        changed = {**({"listed_at": at} if whole else {}), **({"checked_at": at} if seen else {})}
        Target.objects.filter(pk=target.pk).update(**changed, **_answers_again(held))
        if closed or fresh:
            tell_pages()


def _still_so(
    target: Target, found: Mapping[str, Difference], opened: Mapping[str, Drift], at: datetime
) -> Mapping[str, Difference]:
    """Without what was put right, or is to be otherwise, since the look began."""
    rows = Drift.objects.filter(target=target, path__in=found.keys() - opened.keys(), resolved_at__gt=at)
    over = {*rows.values_list("path", flat=True), *(path for path, row in opened.items() if row.seen_at > at)}
    if target.driver == DriverName.KUBERNETES:
        over |= cluster_drift.overtaken(target, found)
    return {path: one for path, one in found.items() if path not in over}


def _answers_again(held: Target) -> Mapping[str, object]:
    """A cluster that did not answer when it was read back; what keeps an activation from going on stays noted."""
    silent = held.driver == DriverName.KUBERNETES and held.error and not held.attempts and held.retry_at is None
    return moving.NO_TROUBLE if silent else {}


def _close(rows: Iterable[Drift], looked_at: set[str], at: datetime) -> int:
    """Those that are right again. What nobody made here has no path to look at once it is gone."""
    over = [row for row in rows if row.path in looked_at or row.expected == ""]
    for row in over:
        row.resolved_at, row.resolution = at, row.resolution or "It is right again."
        row.save(update_fields=["resolved_at", "resolution"])
    return len(over)


def _open(target: Target, found: Mapping[str, Difference], opened: Mapping[str, Drift], at: datetime) -> int:
    """How many were not known before."""
    rows = Drift.objects.filter(target=target, adopted=True, path__in=found)
    adopted = set(rows.values_list("path", "observed"))
    fresh = 0
    for path, one in found.items():
        if (path, one.observed) in adopted:
            continue
        fresh += path not in opened
        row = opened.get(path) or Drift(target=target, path=path, found_at=at)
        row.expected, row.observed, row.detail, row.seen_at = one.expected, one.observed, one.detail, at
        row.diff, row.opens, row.why_not = one.diff, one.opens, one.why_not
        if not path.startswith(property_watching.PREFIX):
            row.resolution = ""  # what was put back meanwhile was changed once more
        row.save()
    return fresh


def put_back(*, drift_id: int, actor: Actor, at: datetime) -> Target:
    """Have the target hold again what it should. The caller pokes the target."""
    with transaction.atomic():
        target, drift = hold_drift(drift_id)
        if drift.is_node:
            raise NotOurs
        if target.is_pulled:
            cluster_objects.force_once(target, drift.path, actor, at)
        elif drift.path.startswith(property_watching.PREFIX):
            _attach_again(target, drift, actor, at)
        else:
            _forget(target, drift.path)
            if target.driver == DriverName.KUBERNETES:
                cluster_objects.force_once(target, drift.path, actor, at)
                # Another object that somebody keeps from us must not put this one off.
                Target.objects.filter(pk=target.pk).update(retry_at=None, attempts=0)
            _activate_again(target, at)
        drift.resolution = f"Put back by {actor.name}."[:100]
        drift.save(update_fields=["resolution"])
        record_target("drift.put_back", target, actor=actor, at=at, after={"path": drift.path, "found": drift.observed})
    return target


def hold_drift(drift_id: int) -> tuple[Target, Drift]:
    """The target, and what differs there. Raises NotFound when nothing does any more."""
    known = Drift.objects.filter(pk=drift_id, resolved_at=None).first()
    if known is None:
        raise NotFound
    target = hold_target(known.target_id)
    drift = Drift.objects.select_for_update(of=("self",)).filter(pk=drift_id, resolved_at=None).first()
    if drift is None:
        raise NotFound
    drift.target = target
    return target, drift


def _attach_again(target: Target, drift: Drift, actor: Actor, at: datetime) -> None:
    """A property is compared again; somebody agrees to the difference before anything is written."""
    what = drift.path.rpartition("/")[2]
    if what in (FAILOVER, ORIGINS):
        raise NotOurRuleToChange
    change = property_watching.change_of(target, drift)
    if change is None:
        raise NotFound
    attaching.ask(
        slug=target.slug,
        hostname=change.hostname,
        removal=False,
        email=change.email,
        to_end=what in (POSITION, "overruled"),
        actor=actor,
        at=at,
    )


def _forget(target: Target, path: str) -> None:
    """Believe no longer that the target holds the right thing there."""
    rows = TargetArtifact.objects.filter(target=target)
    touched = rows.filter(service=COMMON) if path == CODE_GROUP else rows.filter(path=path)
    if not touched.update(applied_sha256=UNKNOWN) and not is_code(path):
        TargetArtifact.objects.create(target=target, path=path, applied_sha256=UNKNOWN, media_type="")


def _activate_again(target: Target, at: datetime) -> None:
    """Code that was seen to be good goes back to production at once."""
    version = code_version(current_code(target))
    code = TargetArtifact.objects.filter(target=target, service=COMMON, applied_sha256=UNKNOWN)
    if target.driver == DriverName.AKAMAI and code.exists():
        number, straight = target.latest_number, releases.was_good(target, version)
        releases.begin(target=target, version=version, number=number, straight=straight, at=at)
    if Activation.objects.filter(target=target, state__in=OPEN_ACTIVATIONS).exists():
        return
    revision = Revision.objects.filter(target=target).order_by("-number").first()
    if revision is None:
        raise NotFound
    revising.activate(target=target, revision=revision, at=at)
