"""Rule bases of old firewalls, as they were written and as they were understood; and proposals to clean them up."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.firewall.lines import Action, Direction
from apps.firewall.rulebase.base import Semantics
from apps.firewall.rulebase.findings import CODE_WORDS, Code
from apps.firewall.rulebase.reading import FORMAT_WORDS, Format

FORMATS = [(one.value, FORMAT_WORDS[one]) for one in Format]
SEMANTICS = [
    (Semantics.FIRST_MATCH.value, "From the top: the first line that fits decides"),
    (Semantics.ADDITIVE.value, "All together: any line that allows is enough"),
]
CODES = [(code.value, words) for code, (words, _) in CODE_WORDS.items()]


class CleaningOutcome(models.TextChoices):
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"


class RuleBase(models.Model):
    """``read_at`` is when it was read, with ``problems`` or without; until then ``progress`` (percent) moves.

    With problems there are no lines and no findings: all of it is taken, or nothing. ``defaults`` are pairs of
    direction and action for what no line speaks of; ``undecided`` the lines that would take too much to decide.
    """

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    name = models.CharField(max_length=200)
    team = models.ForeignKey("identity.Subject", models.PROTECT, null=True, related_name="+")
    format = models.CharField(max_length=20, choices=FORMATS)
    semantics = models.CharField(max_length=12, choices=SEMANTICS)
    text = models.TextField()
    taken_by = models.ForeignKey("identity.Subject", models.PROTECT, related_name="+")
    taken_at = models.DateTimeField()
    cleaned_from = models.ForeignKey("firewall.RuleBaseCleaning", models.PROTECT, null=True, related_name="+")
    progress = models.PositiveSmallIntegerField(default=0)
    read_at = models.DateTimeField(null=True)
    problems = models.JSONField(default=list)
    notes = models.JSONField(default=list)
    defaults = models.JSONField(default=list)
    line_count = models.PositiveIntegerField(default=0)
    rule_count = models.PositiveIntegerField(default=0)
    undecided = ArrayField(models.IntegerField(), default=list)

    class Meta:
        indexes = [models.Index(fields=["-id"], name="firewall_rulebase_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(format__in=[one.value for one in Format]), name="firewall_rulebase_format"
            ),
            models.CheckConstraint(
                condition=Q(semantics__in=[one.value for one in Semantics]), name="firewall_rulebase_semantics"
            ),
            models.CheckConstraint(condition=Q(progress__lte=100), name="firewall_rulebase_progress_percent"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ready(self) -> bool:
        return self.read_at is not None and not self.problems


class RuleBaseLine(models.Model):
    """A line as it was understood; ``place`` is the order in which lines are asked, ``number`` where it was written."""

    base = models.ForeignKey(RuleBase, models.CASCADE, related_name="lines")
    place = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    text = models.TextField()
    source = models.CharField(max_length=250)
    destination = models.CharField(max_length=250)
    protocol = models.CharField(max_length=12)
    ports = models.JSONField(default=list)
    direction = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Direction])
    action = models.CharField(max_length=5, choices=[(one.value, one.value) for one in Action])
    reason = models.TextField(blank=True, default="")
    until = models.DateField(null=True)
    hits = models.BigIntegerField(null=True)
    conditions = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["base", "place"], name="firewall_rulebaseline_place")]
        indexes = [models.Index(fields=["base", "number"], name="firewall_rulebaseline_number")]

    def __str__(self) -> str:
        return f"{self.base_id}: {self.number}"


class RuleBaseFinding(models.Model):
    """Something wrong with the line ``number``; ``involved`` are the numbers of the lines that make it so."""

    base = models.ForeignKey(RuleBase, models.CASCADE, related_name="findings")
    code = models.CharField(max_length=14, choices=CODES)
    number = models.PositiveIntegerField()
    involved = ArrayField(models.IntegerField(), default=list)
    sentence = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["base", "code", "number"], name="firewall_finding_by_code")]
        constraints = [
            models.CheckConstraint(condition=Q(code__in=[one.value for one in Code]), name="firewall_finding_code")
        ]

    def __str__(self) -> str:
        return f"{self.code} at {self.number}"


class RuleBaseCleaning(models.Model):
    """A proposal to take lines out, with what it would change. ``text`` is the rule base without them.

    ``proven_at`` is when the comparison was done: ``differences`` are sentences, each a packet decided otherwise, and
    ``unproven`` the lines about which equality could not be proven. With neither, nothing changes for any packet.
    """

    public_id = models.CharField(max_length=32, unique=True, editable=False)
    base = models.ForeignKey(RuleBase, models.CASCADE, related_name="cleanings")
    asked_by = models.ForeignKey("identity.Subject", models.PROTECT, related_name="+")
    reason = models.TextField()
    codes = ArrayField(models.CharField(max_length=14), default=list)
    dropped = ArrayField(models.IntegerField(), default=list)
    created_at = models.DateTimeField()
    proven_at = models.DateTimeField(null=True)
    differences = models.JSONField(default=list)
    unproven = ArrayField(models.IntegerField(), default=list)
    text = models.TextField(blank=True, default="")
    outcome = models.CharField(max_length=8, choices=CleaningOutcome, blank=True, default="")
    comment = models.TextField(blank=True, default="")
    decided_by = models.ForeignKey("identity.Subject", models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["base"], condition=Q(outcome=""), name="firewall_cleaning_one_open"),
            models.CheckConstraint(
                condition=Q(outcome="", decided_at=None, decided_by=None)
                | Q(outcome__in=CleaningOutcome.values, decided_at__isnull=False, decided_by__isnull=False),
                name="firewall_cleaning_decided_once",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_equivalent(self) -> bool:
        return self.proven_at is not None and not self.differences and not self.unproven
