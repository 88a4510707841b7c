"""Where access is enforced: what each target holds, how it got there, and whether it still does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BooleanField,
    Count,
    ExpressionWrapper,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
)
from django.db.models.functions import Coalesce, JSONObject
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.audit.errors import NotFound
from apps.compiler.artifacts import Artifact
from apps.compiler.diff import raw_diff
from apps.identity.pages import PageRequest, require_role
from apps.identity.selectors import has_role
from apps.outbox import pokes
from apps.rollout import content, tasks
from apps.rollout.cluster import facts as cluster_facts
from apps.rollout.drivers.akamai.code import CANCELLABLE
from apps.rollout.models import (
    LEAVING,
    Activation,
    Drift,
    EdgeMove,
    Node,
    PendingChange,
    Probe,
    Revision,
    RevisionArtifact,
    Target,
)
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import dismissing, troubles, undoing
from apps.rollout.services.akamai import budgets, history
from apps.rollout.services.cluster.driving import HELD
from apps.rollout.services.driving import is_live

FEW, PAGE, MOST_ARTIFACTS = 10, 25, 30


@dataclass(frozen=True, slots=True)
class Health:
    """A target in one line. ``door`` is the state its arch is drawn in, ``asking`` how many services wait for a yes."""

    target: Target
    activation: Activation | None
    door: str
    nodes: int
    online: int
    pending: int
    drifted: int
    asking: int


@require_GET
def rollout(request: PageRequest) -> HttpResponse:
    at = timezone.now()
    keeper, watcher = has_role(request.subject, *KEEPERS), has_role(request.subject, *WATCHERS)
    targets = Target.objects.select_related("environment").order_by("environment__slug", "point")
    rows = healths(targets, at)
    well = all(is_well(row) for row in rows)
    context = {"rows": rows, "well": well, "asking": sum(row.asking for row in rows)}
    context |= {"keeper": keeper, "watcher": watcher}
    return TemplateResponse(request, "rollout/rollout.html", context)


def healths(targets: QuerySet[Target], at: datetime) -> list[Health]:
    """The facts stay in the database: a cluster's may tell of thousands of services, which are only counted."""
    found = list(targets.defer("facts", "config", "secret_sealed"))
    latest = Activation.objects.filter(target__in=found).order_by("target_id", "-id").distinct("target_id")
    activations = {one.target_id: one for one in latest.select_related("revision")}
    counts = Target.objects.filter(pk__in=[one.pk for one in found]).annotate(
        uncompiled=_number_of(PendingChange.objects.all()),
        off=_number_of(Drift.objects.filter(resolved_at=None)),
        leaving=ExpressionWrapper(Q(facts__has_key=LEAVING), output_field=BooleanField()),
        asking=Func("facts", template=HOW_MANY_HELD, output_field=IntegerField()),
    )
    numbers = {pk: many for pk, *many in counts.values_list("pk", "uncompiled", "off", "asking", "leaving")}
    held = _held([one for one in found if numbers[one.pk][2]])
    nodes = list(Node.objects.filter(target__in=found))
    return [
        Health(
            target=one,
            activation=activations.get(one.pk),
            door=door_of(one, activations.get(one.pk), numbers[one.pk][1], leaving=numbers[one.pk][3]),
            nodes=sum(node.target_id == one.pk for node in nodes),
            online=sum(node.target_id == one.pk and is_live(node, at) for node in nodes),
            pending=numbers[one.pk][0] - held.get(one.pk, 0),
            drifted=numbers[one.pk][1],
            asking=numbers[one.pk][2],
        )
        for one in found
    ]


HOW_MANY_HELD = f"jsonb_array_length(jsonb_path_query_array(%(expressions)s, '$.{HELD}.keyvalue().key'))"


def _number_of(rows: QuerySet[Any]) -> Coalesce:
    counted = rows.filter(target=OuterRef("pk")).order_by().values("target").annotate(many=Count("pk"))
    return Coalesce(Subquery(counted.values("many")), 0)


def _held(targets: Iterable[Target]) -> dict[int, int]:
    """How many of a cluster's changes wait for a yes, and for nothing else. Costs nothing where none asks for one."""
    asked = [Q(target=one, service__in=_names_held(one)) for one in targets]
    if not asked:
        return {}
    rows = PendingChange.objects.filter(reduce(or_, asked)).values("target").annotate(many=Count("pk"))
    return dict(rows.values_list("target", "many"))


def _names_held(target: Target) -> QuerySet[Target, Any]:
    names = Func(f"facts__{HELD}", function="jsonb_object_keys", output_field=TextField())
    return Target.objects.filter(pk=target.pk).values_list(names)


def door_of(target: Target, activation: Activation | None, drifted: int, *, leaving: bool) -> str:
    if target.is_removed:
        return "closed"
    if leaving and not target.error:
        return "closing"
    if target.error or drifted or (activation is not None and activation.state == "failed"):
        return "failing"
    if activation is None or activation.state in ("pending", "applying"):
        return "opening"
    return "proven" if activation.state in ("proven", "superseded") else "open"


def is_well(row: Health) -> bool:
    return row.target.is_removed or (row.door in ("open", "proven") and not row.pending)


def get_target(slug: str, rows: QuerySet[Target] | None = None) -> Target:
    target = (Target.objects if rows is None else rows).select_related("environment").filter(slug=slug).first()
    if target is None:
        raise NotFound
    return target


@require_GET
def show(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *WATCHERS)
    waiting = PendingChange.objects.filter(target=OuterRef("pk")).order_by("service", "at").distinct("service")
    shown = ArraySubquery(waiting.values(json=JSONObject(topic="topic", service="service", error="error"))[:PAGE])
    target, at = get_target(slug, Target.objects.annotate(uncompiled=shown, **COUNTS)), timezone.now()
    uncompiled: list[dict[str, str]] = target.uncompiled  # type: ignore[attr-defined]  # annotated above
    before = request.GET.get("before", "")
    revisions = Revision.objects.filter(target=target).order_by("-number")
    if before.isascii() and before.isdigit() and len(before) < 10:
        revisions = revisions.filter(number__lt=int(before))
    rows = list(revisions[: PAGE + 1])
    activations = list(Activation.objects.filter(target=target).select_related("revision").order_by("-id")[:FEW])
    off: int = target.off  # type: ignore[attr-defined]  # annotated above
    nodes = Node.objects.filter(target=target).order_by("name")[:100] if target.driver != "akamai" else ()
    context = {
        "target": target,
        "uncompiled": [one for one in uncompiled if one["service"] not in target.facts.get(HELD, {})],
        "door": door_of(target, activations[0] if activations else None, off, leaving=target.is_leaving),
        "activations": activations,
        "nodes": [(node, is_live(node, at)) for node in nodes],
        "revisions": rows[:PAGE],
        "older": rows[PAGE - 1].number if len(rows) > PAGE else None,
        "seen": mark_of(target, activations[0] if activations else None),
        "trouble": troubles.catalogue_of(target).get(target.trouble),
        "keeper": has_role(request.subject, *KEEPERS),
        "edge": edge_facts(target, at) if target.driver == "akamai" and target.is_called else None,
        "cluster": cluster_facts.facts_of(target) if target.driver == "kubernetes" else None,
        "watched": target.is_watched(at),
    }
    return TemplateResponse(request, "rollout/target.html", context)


@require_POST
def remove_node(request: PageRequest, slug: str) -> HttpResponse:
    require_role(request, *KEEPERS)
    name = request.POST.get("node", "")
    dismissing.remove_node(target_slug=slug, name=name, actor=request.subject.actor, at=timezone.now())
    tasks.poke_due(timezone.now())
    messages.success(request, f"{name} is forgotten: its token opens nothing any more.")
    return redirect("target", slug)


COUNTS = {
    "off": Count("drifts", distinct=True, filter=Q(drifts__resolved_at=None)),
    "open_doors": Count("drifts", distinct=True, filter=Q(drifts__resolved_at=None, drifts__opens=True)),
    "lists": Count("address_lists", distinct=True),
    "strange_lists": Count("address_lists", distinct=True, filter=~Q(address_lists__strange=[])),
}
"""What the page of a target says of what has a page of its own."""


@dataclass(frozen=True, slots=True)
class EdgeFacts:
    """What there is to know of an Akamai target beside its revisions. ``stoppable``: an activation not begun yet."""

    meters: Sequence[budgets.Meter]
    estimates: Sequence[tuple[str, history.Estimate]]
    stoppable: EdgeMove | None


def edge_facts(target: Target, at: datetime) -> EdgeFacts:
    moves = history.latest(target)
    return EdgeFacts(
        meters=budgets.meters(target, at),
        estimates=[(name.capitalize(), history.estimate(moves, name)) for name in ("STAGING", "PRODUCTION")],
        stoppable=next((move for move in moves if move.status in CANCELLABLE), None),
    )


def mark_of(target: Target, activation: Activation | None) -> str:
    """What the target's page shows that may move by itself."""
    progress = (activation.pk, activation.state, len(activation.events)) if activation is not None else ()
    waiting = (target.waiting_for, target.to_approve, target.production, target.delivery)
    return pokes.mark_of(
        target.latest_number, target.active_number, target.error, target.checked_at, *waiting, *progress
    )


def mark_now(target_id: int) -> str:
    return mark_of_it(Target.objects.defer("facts", "config").get(pk=target_id))


def mark_of_it(target: Target) -> str:
    return mark_of(target, Activation.objects.filter(target=target).order_by("-id").first())


@require_GET
async def events(request: PageRequest, slug: str) -> StreamingHttpResponse:
    return await follow(request, slug, get_target, lambda target: mark_now(target.pk))


async def follow(
    request: PageRequest, slug: str, find: Callable[[str], Target], look: Callable[[Target], str]
) -> StreamingHttpResponse:
    """Pokes for a page about a target. ``look`` names what it shows."""
    await sync_to_async(require_role)(request, *WATCHERS)
    target = await sync_to_async(find)(slug)
    return pokes.answer(request, tasks.CHANNEL, sync_to_async(lambda: look(target)))


@require_GET
def revision(request: PageRequest, slug: str, number: int) -> HttpResponse:
    require_role(request, *WATCHERS)
    rows = Revision.objects.select_related("target").filter(target__slug=slug, number=min(number, 2**31 - 1))
    found = rows.first()
    if found is None:
        raise NotFound
    target = found.target
    artifacts = list(found.artifacts.order_by("path")[: MOST_ARTIFACTS + 1])
    activations = list(found.activations.order_by("-id")[:FEW])
    files = diffs_of(artifacts[:MOST_ARTIFACTS])
    context = {
        "target": target,
        "revision": found,
        "activations": activations,
        "probes": list(Probe.objects.filter(activation__in=activations).order_by("grant_id", "point")[:100]),
        "diffs": [(path, text) for path, text in files if text is not None],
        "secret": [path for path, text in files if text is None],
        "more_artifacts": len(artifacts) > MOST_ARTIFACTS,
        "may_put_back": target.driver == "akamai" and found.number != target.latest_number,
    }
    return TemplateResponse(request, "rollout/revision.html", context)


def diffs_of(artifacts: Sequence[RevisionArtifact]) -> list[tuple[str, str | None]]:
    """Per path the unified text, None for what is confidential."""
    hashes = [sha256 for one in artifacts for sha256 in (one.previous_sha256, one.sha256)]
    contents = content.fetch_open(hashes)
    texts = raw_diff(
        [made for one in artifacts if (made := _artifact(one.path, one.previous_sha256, contents))],
        [made for one in artifacts if (made := _artifact(one.path, one.sha256, contents))],
    )
    return [(one.path, None if is_secret(one, contents) else texts.get(one.path, "")) for one in artifacts]


def is_secret(one: RevisionArtifact, contents: dict[str, bytes | None]) -> bool:
    return any(sha256 in contents and contents[sha256] is None for sha256 in (one.sha256, one.previous_sha256))


def _artifact(path: str, sha256: str, contents: dict[str, bytes | None]) -> Artifact | None:
    """JSON is laid out to be read, so it is named as what it is."""
    held = contents.get(sha256)
    kind = "application/json" if held is not None and held[:1] in (b"{", b"[") else "text/plain"
    return None if held is None else Artifact(path=path, media_type=kind, content=held, sha256=sha256)


@require_POST
def roll_back(request: PageRequest, slug: str, number: int) -> HttpResponse:
    require_role(request, *KEEPERS)
    made = undoing.roll_back_code(slug=slug, number=number, actor=request.subject.actor, at=timezone.now())
    tasks.poke([slug])
    messages.success(request, f"Revision {made.number} carries the code of revision {number} and today's grants.")
    return redirect("target", slug)
