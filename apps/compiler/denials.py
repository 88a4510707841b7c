"""Who is turned away before any grant is looked at, and how the doors are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from apps.compiler.graph import Cause, Denial
from apps.compiler.reasons import Reason

REASONS: Mapping[Cause, Reason] = {
    Cause.SUSPENDED: Reason.SUBJECT_REVOKED,
    Cause.REVOKED: Reason.TOKEN_REVOKED,
    Cause.BUDGET: Reason.BUDGET_SPENT,
}
_STRENGTH = {cause: place for place, cause in enumerate(Cause)}

Row = list[object]


def by_subject(denials: Iterable[Denial], service: str) -> dict[str, tuple[Denial, ...]]:
    """Those that concern one service, by subject, each subject's in the order in which they are told."""
    found: dict[str, list[Denial]] = defaultdict(list)
    for denial in sorted(denials, key=_order):
        if not denial.services or service in denial.services:
            found[denial.subject].append(denial)
    return {subject: tuple(found[subject]) for subject in sorted(found)}


def _order(denial: Denial) -> tuple[int, bool, int, int]:
    issued = denial.issued_until
    return _STRENGTH[denial.cause], issued is not None, -denial.until, -(issued or 0)


def reason_of(denial: Denial) -> Reason:
    """A suspension that was undone leaves only the tokens from before it behind."""
    undone = denial.cause is Cause.SUSPENDED and denial.issued_until is not None
    return Reason.TOKEN_REVOKED if undone else REASONS[denial.cause]


def standing(denials: Iterable[Denial], at: int, issued: float | None) -> Denial | None:
    """The first that turns away who comes at ``at`` with a token made out at ``issued`` (None: without a token)."""
    return next((one for one in denials if at < one.until and _meant(one, issued)), None)


def _meant(denial: Denial, issued: float | None) -> bool:
    return denial.issued_until is None or (issued is not None and issued <= denial.issued_until)


def rows(denials: Iterable[Denial]) -> list[Row]:
    """``[[reason, until, issued until or null], ...]``, as every door reads them."""
    return [[reason_of(one).value, one.until, one.issued_until] for one in denials]
