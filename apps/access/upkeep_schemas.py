"""What the API says about upkeep, and what it wants to hear."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.access.api_schemas import PersonSchema
from apps.access.models import CleanUp, Point, StandingReview
from apps.access.selectors.access_map import Cell
from apps.access.standing_models import Lapse, StandingCause
from apps.access.states import CleanUpState, StandingState
from apps.compiler.both_doors import Held, Missing
from apps.compiler.lint import Code, Severity

CODES = [(one.value, one.value) for one in Code]
SEVERITIES = [(one.value, one.value) for one in Severity]
MISSING = [(one.value, one.value) for one in Missing]
LATER = "Pass it back as `after` to go on"


class PageQuery(serializers.Serializer[Any]):
    service = serializers.CharField(required=False, default="", max_length=63)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class FindingQuery(PageQuery):
    code = serializers.ChoiceField(choices=CODES, required=False, default="")
    severity = serializers.ChoiceField(choices=SEVERITIES, required=False, default="")
    safe = serializers.BooleanField(required=False, default=False, help_text="Only what can go without a change")


class UpkeepFindingSchema(serializers.Serializer[Any]):
    service = serializers.CharField(source="service.slug")
    environment = serializers.CharField(source="environment.slug")
    code = serializers.ChoiceField(choices=CODES)
    severity = serializers.ChoiceField(choices=SEVERITIES)
    sentence = serializers.CharField()
    grants = serializers.ListField(child=serializers.CharField(), help_text="The one it is about first")
    removable = serializers.BooleanField(help_text="The first can go without a change for anybody")
    found_at = serializers.DateTimeField()


class UpkeepFindingPage(serializers.Serializer[Any]):
    results = UpkeepFindingSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text=LATER)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By code, whatever is filtered by code")
    safe = serializers.IntegerField(help_text="How many can go without a change for anybody")
    as_of = serializers.DateTimeField(allow_null=True, help_text="When the oldest examination was made")


class CleanUpQuery(PageQuery):
    state = serializers.ChoiceField(choices=CleanUpState.choices, required=False, default="")


class NewCleanUp(serializers.Serializer[Any]):
    grants = serializers.ListField(child=serializers.CharField(max_length=32), min_length=1, max_length=200)
    reason = serializers.CharField(max_length=5000)
    keep = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=128), max_length=500),
        required=False,
        default=dict,
        help_text="By grant, the routes that a narrower one goes on opening",
    )
    must_be_safe = serializers.BooleanField(
        required=False, default=True, help_text="Refuse it as `not_the_same` if anybody would lose anything"
    )


class CleanUpAnswer(serializers.Serializer[Any]):
    agree = serializers.BooleanField()
    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=5000)


class ProofSchema(serializers.Serializer[Any]):
    subjects = serializers.IntegerField(help_text="Callers it is about")
    cases = serializers.IntegerField(help_text="Calls decided with and without the grants; they stand for all")
    leans_on = serializers.ListField(child=serializers.CharField(), help_text="Teams whose grants stand in")


class CleanUpSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    service = serializers.CharField(source="service.slug")
    safe = serializers.BooleanField(help_text="Nobody loses anything, proven")
    losses = serializers.ListField(child=serializers.CharField(), help_text="Whom it takes what from, in words")
    proof = ProofSchema()
    grants = serializers.SerializerMethodField()
    kept = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), help_text="By grant, the routes that stay open"
    )
    proposer = PersonSchema()
    reason = serializers.CharField()
    state = serializers.ChoiceField(choices=CleanUpState.choices)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    decided_by = PersonSchema(allow_null=True)
    comment = serializers.CharField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_grants(self, row: CleanUp) -> list[str]:
        return sorted(grant.public_id for grant in row.grants.all())


class CleanUpPage(serializers.Serializer[Any]):
    results = CleanUpSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text=LATER)


class StandingQuery(PageQuery):
    waiting = serializers.BooleanField(required=False, default=False, help_text="Only what waits for your answer")
    state = serializers.ChoiceField(choices=StandingState.choices, required=False, default="")


class StandingSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    grant = serializers.CharField(source="grant.public_id")
    subject = PersonSchema(source="grant.subject")
    service = serializers.CharField(source="grant.service.slug")
    routes = serializers.SerializerMethodField()
    points = serializers.ListField(child=serializers.ChoiceField(choices=Point.choices), source="grant.points")
    cause = serializers.ChoiceField(choices=StandingCause.choices)
    state = serializers.ChoiceField(choices=StandingState.choices)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="The last call seen by it, to ten minutes")
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    escalated_at = serializers.DateTimeField(allow_null=True, help_text="When it was passed on to security")
    answered_at = serializers.DateTimeField(allow_null=True)
    answered_by = PersonSchema(allow_null=True)
    comment = serializers.CharField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_routes(self, row: StandingReview) -> list[str]:
        return sorted(route.key for route in row.grant.routes.all())


class StandingPage(serializers.Serializer[Any]):
    results = StandingSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text=LATER)


class StandingAnswerInput(serializers.Serializer[Any]):
    keep = serializers.BooleanField(help_text="False ends it")
    comment = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=5000, help_text="Why; needed when it stays"
    )


def days(help_text: str, least: int = 0) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=least, max_value=3650, help_text=help_text)


class ScheduleInput(serializers.Serializer[Any]):
    open_days = days("After how many days access to an open service is looked at again; 0 is never")
    internal_days = days("The same for an internal one")
    sensitive_days = days("The same for a sensitive one")
    critical_days = days("The same for a critical one")
    unused_days = days("After how many days without a call somebody is asked; 0 is never")
    answer_days = days("How long owners have", least=1)
    escalate_days = days("How long security has after that; 0 does not ask it")
    lapse = serializers.ChoiceField(choices=Lapse.choices)
    version = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The one you saw")


class ScheduleSchema(ScheduleInput):
    watched_since = serializers.DateTimeField(allow_null=True, help_text="Since when calls count for grants")


class MapQuery(serializers.Serializer[Any]):
    team = serializers.CharField(required=False, default="", max_length=300, help_text="Whose access, as team:x")
    owner = serializers.CharField(required=False, default="", max_length=300, help_text="Whose services, as team:x")
    q = serializers.CharField(required=False, default="", max_length=200)
    after = serializers.CharField(required=False, default="", max_length=63)
    limit = serializers.IntegerField(required=False, default=15, min_value=1, max_value=50)


class MapCellSchema(serializers.Serializer[Cell]):
    team = serializers.CharField(help_text="Empty for people in no team")
    edge = serializers.IntegerField(help_text="Routes open at the edge")
    mesh = serializers.IntegerField(help_text="Routes open in the mesh")
    gaps = serializers.IntegerField(help_text="Where the doors differ")
    missing = serializers.ListField(child=serializers.ChoiceField(choices=MISSING))


class MapRowSchema(serializers.Serializer[Any]):
    service = serializers.CharField()
    title = serializers.CharField()
    routes = serializers.IntegerField()
    cells = MapCellSchema(many=True)


class MapPage(serializers.Serializer[Any]):
    results = MapRowSchema(many=True)
    after = serializers.CharField(allow_null=True, help_text=LATER)


class DoorGapSchema(serializers.Serializer[Any]):
    sentence = serializers.CharField()
    shut = serializers.ChoiceField(choices=Point.choices)
    routes = serializers.SerializerMethodField()
    missing = serializers.ListField(child=serializers.ChoiceField(choices=MISSING))
    by_asking = serializers.BooleanField(help_text="A request for these routes at that door closes it")

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_routes(self, gap: Any) -> list[str]:
        return sorted(gap.routes)


class HeldSchema(serializers.Serializer[Any]):
    subject = serializers.CharField(source="held.subject")
    teams = serializers.ListField(child=serializers.CharField())
    edge = serializers.SerializerMethodField()
    mesh = serializers.SerializerMethodField()
    grants = serializers.ListField(child=serializers.CharField(), source="held.grant_ids")
    gaps = DoorGapSchema(many=True, source="held.gaps")

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_edge(self, row: dict[str, Held]) -> list[str]:
        return sorted(row["held"].edge)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_mesh(self, row: dict[str, Held]) -> list[str]:
        return sorted(row["held"].mesh)


class MapServiceSchema(serializers.Serializer[Any]):
    service = serializers.CharField()
    results = HeldSchema(many=True)
