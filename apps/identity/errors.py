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


class InvalidProviderSecret(InvalidInput):
    code = "invalid_provider_secret"
    default_message = "A secret cannot be made like this."


class TooManySecrets(Refusal):
    code = "too_many_secrets"
    default_message = "Two secrets are good already; revoke one before you make another."


class DirectoryEntryTaken(Refusal):
    code = "directory_entry_taken"
    default_message = "The directory has a user with this userName or externalId already."


class UnknownMember(InvalidInput):
    """The directory should send the user first, and this again: directories do, in their lists of failed tasks."""

    code = "unknown_member"
    default_message = "A member of the group is not a user that this directory has sent."


class InvalidRule(InvalidInput):
    code = "invalid_rule"
    default_message = "A mapping rule cannot be like this."


class MappingPaused(Refusal):
    code = "mapping_paused"
    default_message = "A change of this directory waits for a decision; confirm or discard it first."


class MappingMoved(Refusal):
    code = "mapping_moved"
    default_message = "What this change would take away is no longer what you were shown. Look again."
