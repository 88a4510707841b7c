"""Who may see a rule base, take one in, and decide about cleaning it up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apps.access.policies import SEE_ALL, require_active
from apps.access.refusals import SubjectSuspended
from apps.audit.errors import NotAllowed
from apps.firewall import rule_base_refusals as refusals
from apps.identity import selectors as identity

if TYPE_CHECKING:
    from apps.audit.errors import Refusal
    from apps.firewall.models import RuleBase, RuleBaseCleaning
    from apps.identity.models import Subject

DECIDERS = ("security", "operator", "administrator")


def sees_all(actor: Subject) -> bool:
    return identity.has_role(actor, *SEE_ALL)


def require_may_take(actor: Subject, team: Subject | None) -> None:
    """Anybody may have a rule base looked at; for a team only those who are in it, and who govern."""
    require_active(actor)
    if team is None:
        return
    if team.kind != "team" or not (identity.is_member(actor, team) or identity.has_role(actor, *DECIDERS)):
        raise refusals.BadRuleBase(fields={"team": ["Choose a team you are in."]})


def can_delete(actor: Subject, base: RuleBase) -> bool:
    """A person, awake: who took it in or owns the agent that did, of the owning team, or by role."""
    if actor.kind != "person" or not actor.is_active:
        return False
    own = actor.pk in {base.taken_by_id, base.taken_by.owner_id}
    owns = base.team is not None and identity.is_owner(actor, base.team)
    return own or owns or identity.has_role(actor, *DECIDERS)


def require_can_delete(actor: Subject, base: RuleBase) -> None:
    require_active(actor)
    if not can_delete(actor, base):
        raise refusals.NotYoursToDelete


def require_may_decide(actor: Subject, base: RuleBase, cleaning: RuleBaseCleaning) -> None:
    """A person, awake, who did not propose it nor owns the agent that did; of the owning team or by role."""
    require_active(actor)
    if actor.pk in {cleaning.asked_by_id, cleaning.asked_by.owner_id}:
        raise refusals.OwnCleaning
    owns = base.team is not None and identity.is_owner(actor, base.team)
    if actor.kind != "person" or not (owns or identity.has_role(actor, *DECIDERS)):
        raise refusals.NotYoursToClean


def why_not_decide(actor: Subject, base: RuleBase, cleaning: RuleBaseCleaning) -> Refusal | None:
    """For pages: what ``actor`` would be told; None when they may answer."""
    try:
        require_may_decide(actor, base, cleaning)
    except (NotAllowed, SubjectSuspended) as refusal:
        return refusal
    return None
