"""What is refused about rule bases, by name. The message is the sentence the asker reads."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed, NotFound, Refusal


class UnknownRuleBase(NotFound):
    code = "unknown_rule_base"
    default_message = "There is no such rule base, or you may not see it."


class BadRuleBase(InvalidInput):
    """``extra`` holds every problem with its line. Nothing was kept."""

    code = "bad_rule_base"
    default_message = "The rule base cannot be taken like this."


class RuleBaseNotReady(Refusal):
    code = "rule_base_not_ready"
    default_message = "This rule base is not read yet, or could not be."


class NotYoursToDelete(NotAllowed):
    code = "not_yours_to_delete"
    default_message = (
        "A rule base is deleted by whoever took it in, owners of its team, security, operators and administrators."
    )


class DeletionUnconfirmed(InvalidInput):
    code = "deletion_unconfirmed"
    default_message = "Write the name of the rule base as it stands, so that it is the one you mean."


class UnknownCleaning(NotFound):
    code = "unknown_cleaning"
    default_message = "There is no such clean-up, or you may not see it."


class CleaningOpen(Refusal):
    code = "cleaning_open"
    default_message = "A clean-up of this rule base waits for an answer already."


class NothingToClean(InvalidInput):
    code = "nothing_to_clean"
    default_message = "Choose at least one finding whose line can be taken out."


class CleaningDecided(Refusal):
    code = "cleaning_decided"
    default_message = "This clean-up is decided already."


class CleaningUnproven(Refusal):
    code = "cleaning_unproven"
    default_message = "What this clean-up changes is still being computed. Try again in a moment."


class OwnCleaning(NotAllowed):
    code = "own_cleaning"
    default_message = "Somebody else decides about a clean-up that you proposed."


class NotYoursToClean(NotAllowed):
    code = "not_yours_to_clean"
    default_message = "A clean-up is decided by owners of the rule base's team, security, operators and administrators."


class CleanedNotApproved(Refusal):
    code = "cleaned_not_approved"
    default_message = "The cleaned text is offered once somebody else approved it."
