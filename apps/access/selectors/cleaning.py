"""What ending some grants would do, and the lists of what was proposed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from apps.access import policies, refusals
from apps.access.models import CleanUp, Grant
from apps.access.selectors.graph import graph_slice, seconds
from apps.access.selectors.pages import PAGE, Page, page_of
from apps.access.selectors.visibility import sight_of, visible_grants
from apps.access.states import LIVE_GRANTS, CleanUpState
from apps.compiler.equivalence import Proof, compare, narrowed, prove
from apps.compiler.graph import AccessGraph, SubjectKind
from apps.compiler.hygiene import losses
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

FEW = 200


@dataclass(frozen=True, slots=True)
class Weighing:
    """``losses`` are sentences, one for each who loses something. ``leans_on`` are the teams it is safe because of."""

    is_safe: bool
    losses: tuple[str, ...]
    leans_on: tuple[str, ...]
    subjects: int
    cases: int

    @property
    def counted(self) -> dict[str, object]:
        """As it is stored beside the proposal."""
        return {"subjects": self.subjects, "cases": self.cases, "leans_on": list(self.leans_on)}


def weigh_removal(
    grants: Collection[Grant], at: datetime, keep: Mapping[str, Collection[str]] | None = None
) -> Weighing:
    """Of one service: every case that ending them could change, put to the decision before and after.

    ``keep`` names, by public id, the routes that a narrower grant goes on opening.
    """
    first, gone = next(iter(grants)), {grant.public_id for grant in grants}
    before = graph_slice(service_slugs=[first.service.slug], environment_slug=first.environment.slug, at=at)
    after = narrowed(before, gone, keep or {})
    proof = prove(before, after, seconds(at))
    told = tuple(one.sentence for one in losses(before, proof.as_it_is.differences))
    more = (f"And {len(told) - FEW} more.",) if len(told) > FEW else ()
    return Weighing(
        is_safe=proof.is_safe,
        losses=(*told[:FEW], *more),
        leans_on=tuple(sorted(set(_leaned_on(before, gone, keep or {}, seconds(at))))) if proof.is_safe else (),
        subjects=_most(proof, "subjects"),
        cases=proof.as_it_is.cases + proof.ever.cases,
    )


def _most(proof: Proof, name: str) -> int:
    return int(max(getattr(proof.as_it_is, name), getattr(proof.ever, name)))


def _leaned_on(
    before: AccessGraph, gone: Collection[str], keep: Mapping[str, Collection[str]], at: int
) -> Iterator[str]:
    """Names of teams without which a holder would lose something."""
    for holder in sorted({grant.subject for grant in before.grants if grant.id in gone} & before.subjects.keys()):
        own = {grant.id for grant in before.grants if grant.subject == holder and grant.id in gone}
        for team in sorted(before.subjects[holder].teams & before.subjects.keys()):
            alone = _out_of(before, holder, team)
            left = narrowed(alone, own, {name: routes for name, routes in keep.items() if name in own})
            if compare(alone, left, at).differences:
                yield before.subjects[team].name or team


def _out_of(graph: AccessGraph, member: str, team: str) -> AccessGraph:
    who = graph.subjects[member]
    subjects = {**graph.subjects, member: replace(who, active=True, teams=who.teams - {team})}
    return replace(graph, subjects=subjects, guardrails=(), denials=())


def visible_clean_ups(viewer: Subject) -> QuerySet[CleanUp]:
    """To those who watch over all, who proposed it, who own the service, and who hold what would end."""
    sight = sight_of(viewer)
    rows = CleanUp.objects.all()
    if sight.sees_all:
        return rows
    return rows.filter(
        pk__in=rows.filter(proposer=sight.viewer)
        .values("pk")
        .union(
            rows.filter(service__team__in=sight.owners).values("pk"),
            rows.filter(grants__subject__in=sight.subjects).values("pk"),
        )
    )


def clean_ups_to_decide(viewer: Subject) -> QuerySet[CleanUp]:
    """Those ``viewer`` may answer: of services it answers for, and proposed by others."""
    rows = CleanUp.objects.filter(state=CleanUpState.PENDING)
    rows = rows.exclude(Q(proposer=viewer) | Q(proposer__owner=viewer, proposer__owner__isnull=False))
    if identity.has_role(viewer, *policies.GOVERNORS):
        return rows
    owned = [team.pk for team in identity.teams_of(viewer) if identity.is_owner(viewer, team)]
    return rows.filter(service__team__in=owned)


def list_proposable(*, viewer: Subject, public_ids: Collection[str]) -> list[Grant]:
    """Those of them that are open, seen by ``viewer``, and can be part of a clean-up."""
    rows = visible_grants(viewer).filter(public_id__in=public_ids, state__in=LIVE_GRANTS, treatment__isnull=True)
    rows = rows.exclude(subject__kind=SubjectKind.PARTY).select_related("subject", "service__team", "environment")
    return list(rows.prefetch_related("routes").order_by("pk"))


def list_clean_ups(
    *, viewer: Subject, states: Collection[str] = (), service: str = "", after: int | None = None, limit: int = PAGE
) -> Page[CleanUp]:
    rows = visible_clean_ups(viewer).select_related("service__team", "proposer", "decided_by")
    if states:
        rows = rows.filter(state__in=states)
    if service:
        rows = rows.filter(service__slug=service)
    return page_of(rows.prefetch_related("grants"), after=after, limit=limit)


def get_clean_up(*, viewer: Subject, public_id: str) -> CleanUp:
    """With everything its page shows; raises UnknownCleanUp for what ``viewer`` may not see."""
    rows = visible_clean_ups(viewer).select_related("service__team", "environment", "proposer__owner", "decided_by")
    row = rows.prefetch_related("grants__subject", "grants__routes").filter(public_id=public_id).first()
    if row is None:
        raise refusals.UnknownCleanUp
    return row
