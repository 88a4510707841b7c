"""What identity refuses."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed, NotFound, Refusal


class UnknownSubject(NotFound):
    code = "unknown_subject"
    default_message = "There is no such person, team, workload or agent."


class InvalidSubject(InvalidInput):
    code = "invalid_subject"
    default_message = "This does not describe a person, team, workload or agent."


class InvalidMembership(InvalidInput):
    code = "invalid_membership"
    default_message = "Only people, workloads and agents can be in a team."


class NotAnAdministrator(NotAllowed):
    code = "not_an_administrator"
    default_message = "Only an administrator may do this."


class MayNotSuspend(NotAllowed):
    code = "may_not_suspend"
    default_message = "Only security or an administrator may suspend or reinstate somebody."


class SelfSuspension(Refusal):
    code = "self_suspension"
    default_message = "You cannot suspend yourself; ask somebody else to."


class LastAdministrator(Refusal):
    code = "last_administrator"
    default_message = "This is the last administrator; make somebody else one first."


class RoleFromDirectory(Refusal):
    code = "role_from_directory"
    default_message = "A directory's group gives this role; change the rule, or take the person out of the group."


class MayNotIssueToken(NotAllowed):
    code = "may_not_issue_token"
    default_message = "You may make tokens for yourself, for your agents, and for your teams' workloads and agents."


class ScopeNotHeld(NotAllowed):
    code = "scope_not_held"
    default_message = "An API token cannot make one that may do more than itself."


class InvalidToken(NotAllowed):
    """Bearer credentials that name nobody. One answer for unknown, expired and revoked: the caller learns no more."""

    code = "invalid_token"
    status = 401
    default_message = "The API token is unknown, expired or revoked."


class Suspended(NotAllowed):
    code = "suspended"
    default_message = "This identity is suspended."


class ForeignAccount(NotAllowed):
    code = "foreign_account"
    default_message = "This console does not accept accounts of your organisation or domain."


class UnknownProvider(NotFound):
    code = "unknown_provider"
    default_message = "There is no such identity provider."


class InvalidProvider(InvalidInput):
    code = "invalid_provider"
    default_message = "The identity provider cannot be set up like this."


class ProviderNotReady(Refusal):
    code = "provider_not_ready"
    default_message = "Test the identity provider first, and put right what the test finds."


class StepUpNeeded(NotAllowed):
    """``extra`` holds ``step_up_url``, where the person signs in again and comes back."""

    code = "step_up_needed"
    default_message = "Sign in again first: this needs a sign-in of the last few minutes."


class StepUpRequired(NotAllowed):
    """``extra`` holds ``approve_url``: the page on which the person can do it in a browser."""

    code = "step_up_required"
    default_message = "This takes a fresh sign-in in a browser; an API token is none."


class SomebodyElse(NotAllowed):
    code = "somebody_else"
    default_message = "You signed in as somebody else than you are here, so nothing was changed."


class TokenSpent(Refusal):
    code = "token_spent"
    default_message = "This token has done its work already."


class MayNotBind(NotAllowed):
    code = "may_not_bind"
    default_message = "Only an administrator, its owner, or an owner of its team may say how it proves itself."


class InvalidBinding(InvalidInput):
    code = "invalid_binding"
    default_message = "This does not describe an outside identity."


class BindingTaken(Refusal):
    code = "binding_taken"
    default_message = "That outside identity already stands for a workload or agent. End that first."


class InvalidIssuer(InvalidInput):
    code = "invalid_issuer"
    default_message = "This does not describe an issuer whose tokens can be checked."


class InvalidLimits(InvalidInput):
    code = "invalid_limits"
    default_message = "Limits are whole numbers from 1, or nothing, and agents have them."


class InvalidProviderSecret(InvalidInput):
    code = "invalid_provider_secret"
    default_message = "A secret cannot be made like this."


class TooManySecrets(Refusal):
    code = "too_many_secrets"
    default_message = "Two secrets are good already; revoke one before you make another."


class LastClientKey(Refusal):
    code = "last_client_key"
    default_message = "This console signs with this key alone. Make another one first, then take this one away."


class DirectoryEntryTaken(Refusal):
    code = "directory_entry_taken"
    default_message = "The directory has a user with this userName or externalId already."


class UnknownMember(InvalidInput):
    """A few such are kept and mean nothing. So many are a mistake that somebody has to see."""

    code = "unknown_member"
    default_message = "A group names more than 1,000 members that this directory has never sent, or one too long."


class InvalidRule(InvalidInput):
    code = "invalid_rule"
    default_message = "A mapping rule cannot be like this."


class MappingPaused(Refusal):
    code = "mapping_paused"
    default_message = "A change of this directory waits for a decision; confirm or discard it first."


class MappingMoved(Refusal):
    code = "mapping_moved"
    default_message = "What this change would take away is no longer what you were shown. Look again."


class MayNotSponsor(NotAllowed):
    code = "may_not_sponsor"
    default_message = "A person answers for an outside party, in the name of a team they are in."


class PartyTaken(Refusal):
    code = "party_taken"
    default_message = "Another team answers for an outside party of this name. Ask them, or name yours differently."
