"""Old rule bases around the usual shop."""

from __future__ import annotations

from datetime import datetime

from apps.firewall.models import RuleBase, RuleBaseCleaning
from apps.firewall.services import cleaning, rule_bases
from apps.identity.models import Subject

TEXT = """\
source,destination,port,protocol,action,hits
10.1.0.0/16,payments,443,tcp,allow,12
10.1.2.0/24,payments,443,tcp,allow,0
any,any,any,any,allow,7
10.1.0.0/16,payments,443,tcp,allow,3
10.1.0.0/16,payments,443,tcp,deny,0
ghost,payments,443,tcp,allow,1
"""


def taken(
    actor: Subject, *, text: str = TEXT, name: str = "Old firewall", team: str = "", at: datetime, **how: str
) -> RuleBase:
    given = rule_bases.Given(name, text, team=team, **how)
    return rule_bases.take_rule_base(given=given, actor=actor, at=at)


def base(actor: Subject, at: datetime) -> RuleBase:
    """The one there is, or one with every kind of finding."""
    made = RuleBase.objects.filter(taken_by=actor, cleaned_from=None).first()
    return made or taken(actor, at=at)


def proposed(actor: Subject, at: datetime) -> RuleBaseCleaning:
    """That what is superfluous go; the one that waits, if one does."""
    of = base(actor, at)
    made = RuleBaseCleaning.objects.filter(base=of, outcome="").first()
    codes = ("duplicate", "shadowed", "redundant")
    return made or cleaning.propose_cleaning(
        base_id=of.public_id, codes=codes, reason="Nobody needs them.", actor=actor, at=at
    )


def approved(actor: Subject, by: Subject, at: datetime) -> RuleBaseCleaning:
    """One that ``by`` agreed to."""
    made = RuleBaseCleaning.objects.filter(base__taken_by=actor, outcome="approved").first()
    return made or cleaning.decide_cleaning(
        public_id=proposed(actor, at).public_id, approve=True, comment="Good.", actor=by, at=at
    )
