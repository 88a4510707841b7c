"""What is known of AWS accounts: their roles and users, whom each stands for, and how the copying went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast, JSONObject

from apps.audit.errors import NotFound
from apps.identity.models import AwsPrincipal, AwsSync, ProofKind, SyncOutcome, WorkloadIdentity
from apps.identity.proofs.bindings import AWS

ORDER = ("account", "name", "stable_id")


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter of the list. Empty is any; ``show`` is "bound", "free" or "vanished"."""

    text: str = ""
    account: str = ""
    kind: str = ""
    show: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """The workload or agent something stands for."""

    key: str
    name: str
    kind: str


def bound_of(principal: AwsPrincipal) -> Bound | None:
    """Of one that was read with ``with_bound``."""
    found: list[dict[str, str]] = getattr(principal, "bound", [])
    return Bound(**found[0]) if found else None


def list_principals(asked: Asked) -> QuerySet[AwsPrincipal]:
    """By account and name, each with ``bound``: whom it stands for now, as a list of one or none."""
    rows: QuerySet[Any] = with_bound(AwsPrincipal.objects.all())
    if asked.text:
        said = rows.annotate(tag_text=Cast("tags", TextField()))
        rows = said.filter(
            Q(arn__icontains=asked.text) | Q(stable_id__iexact=asked.text) | Q(tag_text__icontains=asked.text)
        )
    if asked.account:
        rows = rows.filter(account=asked.account)
    if asked.kind in AWS:
        rows = rows.filter(kind=asked.kind)
    if asked.show == "bound":
        rows = rows.filter(vanished_at=None, bound__len__gt=0)
    if asked.show == "free":
        rows = rows.filter(vanished_at=None, bound__len=0)
    if asked.show == "vanished":
        rows = rows.filter(vanished_at__isnull=False)
    return rows.order_by(*ORDER)


def after(rows: QuerySet[AwsPrincipal], stable_id: str) -> QuerySet[AwsPrincipal]:
    """What follows the one of that id in the list; everything when there is none."""
    last = AwsPrincipal.objects.filter(stable_id=stable_id).first() if stable_id else None
    if last is None:
        return rows
    return rows.filter(
        Q(account__gt=last.account)
        | Q(account=last.account, name__gt=last.name)
        | Q(account=last.account, name=last.name, stable_id__gt=last.stable_id)
    )


def with_bound(rows: QuerySet[AwsPrincipal]) -> QuerySet[AwsPrincipal]:
    live = WorkloadIdentity.objects.filter(
        Q(stable_id=OuterRef("stable_id"))
        | Q(stable_id="", kind=OuterRef("kind"), account=OuterRef("account"), name=OuterRef("name")),
        ended_at=None,
        kind__in=AWS,
    )
    who = JSONObject(key="subject__key", name="subject__name", kind="subject__kind")
    return rows.annotate(bound=ArraySubquery(live.order_by("pk").values(json=who)[:1]))


def get_principal(stable_id: str) -> AwsPrincipal:
    """Raises NotFound."""
    found = with_bound(AwsPrincipal.objects.filter(stable_id=stable_id)).first()
    if found is None:
        raise NotFound
    return found


def list_bindings_of(principal: AwsPrincipal) -> list[WorkloadIdentity]:
    """What it stood and stands for, the newest first."""
    found = WorkloadIdentity.objects.filter(
        Q(stable_id=principal.stable_id)
        | Q(stable_id="", kind=principal.kind, account=principal.account, name=principal.name)
    )
    return list(found.select_related("subject").order_by("-created_at", "-pk")[:20])


def list_syncs() -> list[AwsSync]:
    """Every account that is to be copied, and those that once were, in order of their roles."""
    known = {one.role: one for one in AwsSync.objects.order_by("role")}
    wanted = {role: AwsSync(role=role) for role in settings.SALLYPORT_AWS_SYNC_ROLES if role not in known}
    return [row for _, row in sorted({**known, **wanted}.items())]


def is_wanted(sync: AwsSync) -> bool:
    return sync.role in settings.SALLYPORT_AWS_SYNC_ROLES


def described(sync: AwsSync) -> dict[str, Any]:
    """For those who read it as data."""
    state = "asked" if sync.asked_at else sync.outcome or "never"
    return {
        "role": sync.role,
        "account": sync.account,
        "state": state,
        "asked_at": sync.asked_at,
        "done_at": sync.done_at,
        "seen": sync.seen,
        "new": sync.new,
        "vanished": sync.vanished,
        "bindings_ended": sync.ended,
        "would_vanish": sync.losing if sync.outcome == SyncOutcome.HELD else 0,
        "message": sync.message,
    }


KINDS = [(ProofKind.AWS_ROLE, "Roles"), (ProofKind.AWS_USER, "Users")]
SHOWS = [("", "All"), ("bound", "Bound"), ("free", "Not bound"), ("vanished", "Vanished")]
