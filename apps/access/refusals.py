"""What this app refuses, by name. The message is the sentence the asker reads."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed, NotFound, Refusal


class UnknownRequest(NotFound):
    code = "unknown_request"
    default_message = "There is no such request, or you may not see it."


class UnknownGrant(NotFound):
    code = "unknown_grant"
    default_message = "There is no such access, or you may not see it."


class NotYourSubject(NotAllowed):
    code = "not_your_subject"
    default_message = "You can ask for yourself, your teams, and the workloads and agents they or you own."


class SubjectSuspended(Refusal):
    code = "subject_suspended"
    default_message = "Whoever this is for is suspended."


class ServiceRetired(Refusal):
    code = "service_retired"
    default_message = "This service is retired; nothing on it can be opened."


class BadRoutes(InvalidInput):
    code = "bad_routes"


class BadPoints(InvalidInput):
    code = "bad_points"


class NotCarried(InvalidInput):
    """No door that stands here lets plain TCP through for whom it is asked."""

    code = "not_carried"


class BadDuration(InvalidInput):
    code = "bad_duration"


class BadReason(InvalidInput):
    code = "bad_reason"


class BadTreatment(InvalidInput):
    """What a traffic rule should do makes no sense for this service and these doors."""

    code = "bad_treatment"


class NotYourTraffic(NotAllowed):
    code = "not_your_traffic"
    default_message = "Rules for others are asked for by people of the team that owns the service."


class TrafficConflict(Refusal):
    """Two rules that want something else of the same call. Both are told, so that whoever asks can choose."""

    code = "traffic_conflict"


class DurationTooLong(InvalidInput):
    code = "duration_too_long"


class GuardrailStands(Refusal):
    """Nobody overrides a guardrail, so nobody can be asked to."""

    code = "guardrail"
    status = 422


class NoRuleCovers(Refusal):
    """No rule never means yes."""

    code = "no_rule_covers"
    status = 422
    default_message = "No approval rule covers this, so nobody may open it. Ask security to write one."


class NobodyCanApprove(Refusal):
    code = "nobody_can_approve"
    status = 422


class AlreadyAsked(Refusal):
    code = "already_asked"
    default_message = "The same is already asked for and waits for an answer."


class RequestNotOpen(Refusal):
    code = "request_not_open"
    default_message = "This request is decided already."


class SelfApproval(NotAllowed):
    code = "self_approval"
    default_message = "You asked for this, so somebody else has to decide."


class OwnerOfAskingAgent(NotAllowed):
    code = "owner_of_asking_agent"
    default_message = "The agent that asks is yours, so somebody else has to decide."


class AgentsNeverDecide(NotAllowed):
    code = "agents_never_decide"
    default_message = "Only a person can decide; agents and workloads can ask and wait."


class NotAnApprover(NotAllowed):
    code = "not_an_approver"
    default_message = "The rules do not name you as an approver of this request."


class AlreadyReviewed(Refusal):
    code = "already_reviewed"
    default_message = "You have answered this request already."


class NotYoursToCancel(NotAllowed):
    code = "not_yours_to_cancel"
    default_message = "Only whoever asked can withdraw a request."


class NotYoursToEnd(NotAllowed):
    code = "not_yours_to_end"
    default_message = "Only whoever asked for it, whoever holds it, the service's owners and security can end this."


class GrantEnded(Refusal):
    code = "grant_ended"
    default_message = "This access has ended already."


class AlreadyStanding(Refusal):
    code = "already_standing"
    default_message = "The same standing access exists already."


class NotYoursToGovern(NotAllowed):
    code = "not_yours_to_govern"
    default_message = "Rules and guardrails are set by security and administrators."


class BadRule(InvalidInput):
    code = "bad_rule"


class BadGuardrail(InvalidInput):
    code = "bad_guardrail"


class RuleMoved(Refusal):
    code = "rule_moved"
    default_message = "Somebody else changed it meanwhile. Look at what it says now, and change that."


class UnknownRule(NotFound):
    code = "unknown_rule"


class UnknownGuardrail(NotFound):
    code = "unknown_guardrail"


class BadAddresses(InvalidInput):
    code = "bad_addresses"
    default_message = "These addresses cannot be opened."


class ListsNotKept(Refusal):
    """Asking would promise an entry that nobody makes."""

    code = "lists_not_kept"
    status = 422
    default_message = "A team brings this edge what an export says, and that holds no lists of addresses."


class HostUnguarded(Refusal):
    """Asking would promise a door that is not there."""

    code = "host_unguarded"
    status = 422
    default_message = "This host is not guarded by a list: any address reaches its token check already."


class HostInUse(Refusal):
    code = "host_in_use"
    default_message = "Somebody's addresses reach this host by a grant, or are asked for. End them first."


class StillAttached(InvalidInput):
    """Emptying a list that is still asked would close the host to everybody."""

    code = "list_still_attached"
    default_message = "First have the edge's security policy stop asking the list, then say so here."


class NoEdgeHost(Refusal):
    code = "no_edge_host"
    status = 422
    default_message = "This service has no host at the edge, so there is no list that could let an address in."


class BadHost(InvalidInput):
    code = "bad_host"


class UnknownCleanUp(NotFound):
    code = "unknown_clean_up"
    default_message = "There is no such clean-up, or you may not see it."


class BadCleanUp(InvalidInput):
    code = "bad_clean_up"


class NotTheSame(Refusal):
    """What was to change nothing for anybody would. ``losses`` in its extras say what."""

    code = "not_the_same"
    status = 422


class AlreadyProposed(Refusal):
    code = "already_proposed"
    default_message = "Somebody has proposed to end some of these already. Decide about that first."


class CleanUpDecided(Refusal):
    code = "clean_up_decided"
    default_message = "This clean-up is decided already."


class CleanUpOvertaken(Refusal):
    code = "clean_up_overtaken"
    default_message = "What is open has changed since this was proposed. Nothing was ended; propose it again."


class OwnProposal(NotAllowed):
    code = "own_proposal"
    default_message = "You proposed this, so somebody else has to decide."


class NotYoursToCleanUp(NotAllowed):
    code = "not_yours_to_clean_up"
    default_message = "The owners of the service and security decide about this."


class UnknownStandingReview(NotFound):
    code = "unknown_standing_review"
    default_message = "There is no such question, or you may not see it."


class StandingAnswered(Refusal):
    code = "standing_answered"
    default_message = "This was answered already."


class NotYoursToAnswer(NotAllowed):
    code = "not_yours_to_answer"
    default_message = "The owners of the service and security answer for its standing access."


class HolderNeverKeeps(NotAllowed):
    code = "holder_never_keeps"
    default_message = "It is yours, so somebody else has to say that it stays. You may end it."


class BadStandingPolicy(InvalidInput):
    code = "bad_standing_policy"
