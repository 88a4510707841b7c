"""Reading rule bases: what somebody may see of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from django.db.models import Count, Q, QuerySet

from apps.access.selectors.pages import Page, page_of
from apps.firewall import rule_base_policies as policies
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.models import RuleBase, RuleBaseCleaning, RuleBaseFinding, RuleBaseLine
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.identity.models import Subject

PAGE = 50


def _visible(viewer: Subject) -> QuerySet[RuleBase]:
    """One's own, those of one's teams, and all for those who see all. Its text stays where it is."""
    rows = RuleBase.objects.select_related("team", "taken_by").defer("text")
    if policies.sees_all(viewer):
        return rows
    own = Q(taken_by__in=[viewer.pk, *_agents(viewer)])
    return rows.filter(own | Q(team__in=[team.pk for team in identity.teams_of(viewer)]))


def _agents(viewer: Subject) -> list[int]:
    return [one.pk for one in identity.acting_for(viewer)] if viewer.kind == "person" else []


def list_visible_bases(*, viewer: Subject, after: int | None = None, limit: int = PAGE) -> Page[RuleBase]:
    """Newest first."""
    return page_of(_visible(viewer), after=after, limit=limit)


def get_visible_base(*, viewer: Subject, public_id: str, whole: bool = False) -> RuleBase:
    """Raises UnknownRuleBase. ``whole`` brings the text too."""
    rows = _visible(viewer)
    found = (rows.defer(None).select_related("team", "taken_by") if whole else rows).filter(public_id=public_id).first()
    if found is None:
        raise refusals.UnknownRuleBase
    return found


def get_visible_cleaning(*, viewer: Subject, public_id: str) -> RuleBaseCleaning:
    """Raises UnknownCleaning."""
    found = (
        RuleBaseCleaning.objects.select_related("base__team", "base__taken_by", "asked_by", "decided_by")
        .defer("base__text")
        .filter(public_id=public_id, base__in=_visible(viewer).values("pk"))
        .first()
    )
    if found is None:
        raise refusals.UnknownCleaning
    return found


def count_findings(base: RuleBase) -> dict[str, int]:
    """How many of each code."""
    rows = base.findings.order_by().values_list("code").annotate(count=Count("pk"))
    return {str(code): count for code, count in rows}


def list_findings(
    base: RuleBase, *, code: str = "", after: int | None = None, limit: int = PAGE
) -> tuple[list[RuleBaseFinding], int | None]:
    """By line, a page at a time; ``after`` is the last finding's id of the page before. Numbers grow with ids."""
    rows = base.findings.filter(code=code) if code else base.findings.all()
    if after is not None:
        rows = rows.filter(pk__gt=after)
    found = list(rows.order_by("pk")[: limit + 1])
    return found[:limit], found[limit - 1].pk if len(found) > limit else None


def list_base_lines(
    base: RuleBase, *, query: str = "", after: int | None = None, limit: int = PAGE
) -> tuple[list[RuleBaseLine], int | None]:
    """In their order; ``query`` finds words in what was written. ``after`` is the place of the last one before."""
    rows = base.lines.order_by("place")
    for word in query.split()[:6]:
        rows = rows.filter(text__icontains=word)
    if after is not None:
        rows = rows.filter(place__gt=after)
    found = list(rows[: limit + 1])
    return found[:limit], found[limit - 1].place if len(found) > limit else None


def list_lines_numbered(base: RuleBase, numbers: Collection[int], *, limit: int = 2_000) -> list[RuleBaseLine]:
    """The lines of these numbers, in their order."""
    return list(base.lines.filter(number__in=list(numbers)).order_by("place")[:limit])


def texts_of(base: RuleBase, numbers: Iterable[int]) -> dict[int, str]:
    """What is written at these numbers."""
    rows = base.lines.filter(number__in=set(numbers)).order_by("place").values_list("number", "text")
    return dict(rows)


def list_cleanings(base: RuleBase) -> QuerySet[RuleBaseCleaning]:
    """Newest first."""
    return base.cleanings.select_related("asked_by", "decided_by").defer("text").order_by("-pk")
