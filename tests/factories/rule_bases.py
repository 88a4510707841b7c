"""Old rule bases around the usual shop."""

from __future__ import annotations

from datetime import datetime

from apps.firewall.models import RuleBase, RuleBaseCleaning, RuleBaseFinding, RuleBaseLine
from apps.firewall.rulebase.parse import Format, parse
from apps.firewall.services import cleaning, rule_bases
from apps.identity.models import Subject
from tests.firewall.samples import TEXT


def taken(
    actor: Subject, *, text: str = TEXT, name: str = "Old firewall", team: str = "", at: datetime, **how: str
) -> RuleBase:
    given = rule_bases.Given(name, text, team=team, **how)
    return rule_bases.take_rule_base(given=given, actor=actor, at=at)


def proposed(actor: Subject, at: datetime) -> RuleBaseCleaning:
    """Of a rule base with every kind of finding, that what is superfluous go."""
    base = taken(actor, at=at)
    codes = ("duplicate", "shadowed", "redundant")
    return cleaning.propose_cleaning(
        base_id=base.public_id, codes=codes, reason="Nobody needs them.", actor=actor, at=at
    )


def quiet(actor: Subject, at: datetime) -> RuleBase:
    """The one there is, or one of which nothing is on the record."""
    made = RuleBase.objects.filter(taken_by=actor).first()
    if made is not None:
        return made
    made = RuleBase.objects.create(
        public_id="rb_quiet", name="Old firewall", taken_by=actor, taken_at=at, read_at=at, format="table",
        semantics="first_match", text=TEXT, progress=100, line_count=6, rule_count=6,
    )  # fmt: skip
    RuleBaseLine.objects.bulk_create(rule_bases.rows_of(made, parse(TEXT, Format.TABLE).lines))
    RuleBaseFinding.objects.create(
        base=made, code="duplicate", number=5, involved=[2], sentence="Line 2 says the same."
    )
    return made


def quiet_cleaning(actor: Subject, at: datetime, by: Subject | None = None) -> RuleBaseCleaning:
    """One that waits, or that ``by`` agreed to; not on the record either."""
    outcome = "approved" if by else ""
    base = quiet(actor, at)
    made = RuleBaseCleaning.objects.filter(base=base, outcome=outcome).first()
    return made or RuleBaseCleaning.objects.create(
        public_id=f"rc_quiet{len(outcome)}", base=base, asked_by=actor, reason="Old.", codes=["duplicate"], dropped=[5],
        created_at=at, proven_at=at, text=TEXT, outcome=outcome, decided_by=by, decided_at=at if by else None,
    )  # fmt: skip
