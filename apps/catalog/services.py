"""Changing the catalogue. There is one way in: an import, all of it or nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from apps.audit import services as audit
from apps.audit.actors import Actor
from apps.audit.errors import Refusal
from apps.catalog import policies
from apps.catalog.errors import UnknownService
from apps.catalog.imports.backstage import Reading, read_catalogue
from apps.catalog.imports.current import load
from apps.catalog.imports.estate import Estate
from apps.catalog.imports.plan import Change, ChangeKind, Plan, check_claims, check_needs, make_plan
from apps.catalog.imports.problems import Findings, Place, Problem
from apps.catalog.imports.write import Writer
from apps.catalog.models import Dependency, Exposure, ImportedItem, ImportRun, Service
from apps.outbox import services as outbox

CHANGED = "catalog.service.changed"
_PEOPLE = ("team", "person", "agent", "role", "membership")
_IMPORTS = 7_238_114
"""The advisory lock that lets one import run at a time."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """With any error nothing was written. ``changes`` says what was (or, in a dry run, would be) done."""

    source: str
    dry_run: bool
    errors: tuple[Problem, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    unchanged: int
    run_id: int | None = None

    @property
    def ok(self) -> bool:
        return not self.errors

    def count(self, kind: str) -> int:
        return sum(change.kind == kind for change in self.changes)


def hold_service(slug: str) -> Service:
    """Its row, locked until the transaction ends; raises UnknownService."""
    found = Service.objects.select_for_update(of=("self",)).select_related("team").filter(slug=slug).first()
    if found is None:
        raise UnknownService
    return found


def retire_service(*, slug: str, actor: Actor, at: datetime) -> Service:
    """Nothing on it can be opened any more; whom it calls and who calls it is no longer said. Whoever calls this
    decides that it may be.

    An import that names the service brings it back.
    """
    with transaction.atomic():
        service = hold_service(slug)
        if service.retired_at is not None:
            return service
        Dependency.objects.filter(Q(caller=service) | Q(callee=service)).delete()
        Exposure.objects.filter(service=service).delete()
        service.retired_at = at
        service.save(update_fields=["retired_at"])
        audit.record(
            action="catalog.service.retired",
            actor=actor,
            target_type="catalog.service",
            target_id=slug,
            target_name=service.title,
            before={"retired_at": None},
            after={"retired_at": at.isoformat()},
            at=at,
        )
        outbox.enqueue(topic=CHANGED, key=slug, at=at)
    return service


class _Undone(Exception):
    """Not a failure of the code: it carries a finished dry run, or a refusal, past the rollback."""

    def __init__(self, problem: Problem | None) -> None:
        super().__init__()
        self.problem = problem


def import_catalog(
    *, text: str, source: str, actor: Actor, at: datetime, dry_run: bool = False, retire: bool = False
) -> ImportResult:
    """Make the catalogue what a Backstage file says. Running it twice changes nothing the second time.

    A dry run does everything and takes it back, so that what it promises is what would happen. What ``source`` named
    before and no longer names is reported and left alone; with ``retire`` it is retired. Raises MayNotImport.
    """
    policies.require_can_import(actor)
    reading = read_catalogue(text, source)
    if reading.findings.problems:
        return _result(source, dry_run, reading.findings)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _Import(source[:200], digest, actor, at, dry_run, retire).run(reading)


def _result(
    source: str, dry_run: bool, findings: Findings, plan: Plan | None = None, run_id: int | None = None
) -> ImportResult:
    return ImportResult(
        source=source,
        dry_run=dry_run,
        errors=tuple(findings.problems),
        changes=plan.changes if plan else (),
        notes=tuple(findings.notes),
        unchanged=plan.unchanged if plan else 0,
        run_id=run_id,
    )


@dataclass(frozen=True, slots=True)
class _Import:
    source: str
    digest: str
    actor: Actor
    at: datetime
    dry_run: bool
    retire: bool

    def run(self, reading: Reading) -> ImportResult:
        findings, plan, run_id = reading.findings, None, None
        try:
            with transaction.atomic():
                self._lock()
                plan = self._plan(reading)
                if findings.problems:
                    return _result(self.source, self.dry_run, findings)
                run_id = self._apply(reading.estate, plan)
                if self.dry_run:
                    raise _Undone(None)
        except _Undone as undone:
            run_id = None
            findings.problems.extend([undone.problem] if undone.problem else [])
        return _result(self.source, self.dry_run, findings, plan, run_id)

    def _lock(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_IMPORTS])

    def _plan(self, reading: Reading) -> Plan:
        estate = reading.estate
        spoken_of = list(ImportedItem.objects.filter(source=self.source).order_by("ref").values_list("ref", flat=True))
        current = load({*estate.items, *estate.unmet(), *spoken_of})
        check_needs(estate, current, reading.findings)
        check_claims(estate, reading.findings)
        plan = make_plan(estate, current, spoken_of, retire=self.retire)
        self._check_people(plan, reading)
        return plan

    def _check_people(self, plan: Plan, reading: Reading) -> None:
        touched = [change for change in plan.changes if change.sort in _PEOPLE and change.kind is not ChangeKind.GONE]
        if touched and not policies.can_import_people(self.actor):
            for change in touched:
                place = reading.estate.places.get(change.ref, Place(self.source))
                reading.findings.blame(place, f"Only an administrator may import this. {change.sentence}")

    def _apply(self, estate: Estate, plan: Plan) -> int | None:
        """Writes the plan and its evidence; None when there was nothing to do."""
        if not plan.changes and ImportRun.objects.filter(source=self.source, digest=self.digest).exists():
            return None
        current = ""

        def note(ref: str) -> None:
            nonlocal current
            current = ref

        try:
            with transaction.atomic():
                writer = Writer(self.actor, self.at, note)
                list(Service.objects.select_for_update().filter(slug__in=_slugs(plan)).order_by("slug"))
                writer.write(plan.items.values())
                writer.retire(plan.leaving.values())
                run = self._record(plan)
                self._remember(run, estate, plan)
        except (Refusal, IntegrityError) as error:
            place = estate.places.get(current, Place(self.source, entity=current))
            raise _Undone(_problem(place, error)) from error
        return run.pk

    def _record(self, plan: Plan) -> ImportRun:
        run = ImportRun.objects.create(
            source=self.source,
            digest=self.digest,
            actor_id=self.actor.id,
            actor_name=self.actor.name,
            at=self.at,
            changes=[asdict(change) for change in plan.changes],
        )
        counts = {kind.value: sum(change.kind is kind for change in plan.changes) for kind in ChangeKind}
        audit.record(
            action="catalog.import.applied",
            actor=self.actor,
            target_type="catalog.import",
            target_id=str(run.pk),
            target_name=self.source,
            after={**counts, "unchanged": plan.unchanged, "digest": self.digest},
            at=self.at,
        )
        for slug, changes in _by_service(plan).items():
            self._record_service(slug, changes)
        return run

    def _record_service(self, slug: str, changes: list[Change]) -> None:
        own = next((change for change in changes if change.sort == "service"), None)
        verb = {ChangeKind.CREATED: "created", ChangeKind.RETIRED: "retired", ChangeKind.RESTORED: "restored"}
        audit.record(
            action=f"catalog.service.{verb.get(own.kind, 'changed') if own else 'changed'}",
            actor=self.actor,
            target_type="catalog.service",
            target_id=slug,
            target_name=slug,
            before={change.ref: change.before for change in changes if change.before},
            after={change.ref: change.after for change in changes if change.after},
            at=self.at,
        )
        outbox.enqueue(topic=CHANGED, key=slug, at=self.at)

    def _remember(self, run: ImportRun, estate: Estate, plan: Plan) -> None:
        ImportedItem.objects.filter(source=self.source, ref__in=list(plan.leaving)).delete()
        ImportedItem.objects.bulk_create(
            [ImportedItem(source=self.source, ref=ref, last_run=run) for ref in estate.items],
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["source", "ref"],
            update_fields=["last_run"],
        )


def _problem(place: Place, error: Refusal | IntegrityError) -> Problem:
    if isinstance(error, Refusal):
        details = "; ".join(message for messages in error.fields.values() for message in messages)
        message = f"{error.message} {details}".strip()
    else:
        message = "This collides with something that is there already; nothing was written."
    return Problem(place.file, place.document, place.line, place.entity, place.field, message)


def _slugs(plan: Plan) -> list[str]:
    return list(_by_service(plan))


def _by_service(plan: Plan) -> dict[str, list[Change]]:
    """The changes of each service: its own, its routes', its doors' and whom it calls."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in plan.changes:
        if change.sort in ("service", "route", "exposure", "dependency") and change.kind is not ChangeKind.GONE:
            found[change.ref.partition(":")[2].split("/")[0]].append(change)
    return found
