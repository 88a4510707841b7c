"""What the API says about requests and grants, and what it wants to hear."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.access import selectors
from apps.access.models import AccessRequest, ApprovalRule, Grant, Guardrail, Point, SelectorKind, Verdict
from apps.access.states import DoorState, GrantState, RequestState
from apps.compiler.reasons import Reason

LONGEST = 2**31 - 1
LEVELS = ("low", "medium", "high")


class PersonSchema(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()


class DoorSchema(serializers.Serializer[Any]):
    point = serializers.ChoiceField(choices=Point.choices)
    state = serializers.ChoiceField(choices=DoorState.choices)
    changed_at = serializers.DateTimeField()
    opened_at = serializers.DateTimeField(allow_null=True)
    proven_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    detail = serializers.CharField()


class BreakerSchema(serializers.Serializer[Any]):
    """After so many answers of 500 and above within so many seconds, calls are turned away for as many seconds."""

    errors = serializers.IntegerField(  # type: ignore[assignment]  # a declared field, not the serializer's own errors
        min_value=1, max_value=100
    )
    seconds = serializers.IntegerField(min_value=1, max_value=600)


class TreatmentSchema(serializers.Serializer[Any]):
    """What a traffic rule does; what is left out is left alone."""

    everybody = serializers.BooleanField(
        required=False, default=False, help_text="For whoever calls, not for the subject"
    )
    percent = serializers.IntegerField(
        required=False, default=100, min_value=1, max_value=100, help_text="Of those it is about, always the same"
    )
    variant = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=31, help_text="The version of the service that answers"
    )
    set_headers = serializers.DictField(
        child=serializers.CharField(max_length=200), required=False, default=dict, help_text="By name, the value"
    )
    remove_headers = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, default=list, max_length=20
    )
    calls_per_minute = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=100_000, help_text="Of each caller"
    )
    breaker = BreakerSchema(
        required=False, default=None, allow_null=True, help_text="When the service is left alone; in the mesh only"
    )


class GrantSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    request = serializers.CharField(source="request.public_id", allow_null=True, default=None)
    subject = PersonSchema()
    service = serializers.CharField(source="service.slug")
    routes = serializers.SerializerMethodField()
    points = serializers.ListField(child=serializers.ChoiceField(choices=Point.choices))
    treatment = TreatmentSchema(allow_null=True, help_text="Of a traffic rule, which opens nothing; null for access")
    state = serializers.ChoiceField(choices=GrantState.choices)
    duration = serializers.IntegerField(allow_null=True, help_text="Seconds; null for standing access")
    approved_at = serializers.DateTimeField()
    activated_at = serializers.DateTimeField(allow_null=True)
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.CharField()
    error = serializers.CharField()
    doors = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_routes(self, grant: Grant) -> list[str]:
        routes = self.context.get("routes") or grant.routes.all()
        return sorted(route.key for route in routes)

    @extend_schema_field(DoorSchema(many=True))
    def get_doors(self, grant: Grant) -> list[dict[str, Any]]:
        return list(DoorSchema(sorted(grant.doors.all(), key=lambda door: door.point), many=True).data)


class ReviewSchema(serializers.Serializer[Any]):
    reviewer = PersonSchema()
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    comment = serializers.CharField()
    at = serializers.DateTimeField()


class RequirementSchema(serializers.Serializer[Any]):
    name = serializers.CharField(source="requirement.name")
    count = serializers.IntegerField(source="requirement.count")
    sentence = serializers.CharField(source="requirement.sentence")
    answered = PersonSchema(source="progress.answered", many=True, help_text="Whose approval counts for it")
    waiting = PersonSchema(source="progress.waiting", many=True, help_text="Who may still answer")


class ResolvedRuleSchema(serializers.Serializer[Any]):
    slug = serializers.CharField()
    sentence = serializers.CharField()


class ResolvedSchema(serializers.Serializer[Any]):
    rules = ResolvedRuleSchema(many=True)
    max_duration = serializers.IntegerField(help_text="Seconds")
    max_duration_why = serializers.CharField()


class StoredRiskSchema(serializers.Serializer[Any]):
    level = serializers.ChoiceField(choices=LEVELS)
    causes = serializers.ListField(child=serializers.CharField())


class RequestSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    requester = PersonSchema()
    subject = PersonSchema()
    service = serializers.CharField(source="service.slug")
    routes = serializers.SerializerMethodField()
    points = serializers.ListField(child=serializers.ChoiceField(choices=Point.choices))
    duration = serializers.IntegerField(help_text="Seconds")
    reason = serializers.CharField()
    ticket = serializers.CharField()
    treatment = TreatmentSchema(allow_null=True, help_text="When a traffic rule is asked for; null for access")
    state = serializers.ChoiceField(choices=RequestState.choices)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_routes(self, request: AccessRequest) -> list[str]:
        return sorted(route.key for route in request.routes.all())


class AddressAskSchema(serializers.Serializer[Any]):
    host = serializers.CharField()
    blocks = serializers.ListField(child=serializers.CharField())


class RequestDetailSchema(RequestSchema):
    addresses = AddressAskSchema(allow_null=True, default=None, help_text="For an outside party: from where, to what")
    risk = StoredRiskSchema()
    resolved = ResolvedSchema(help_text="The rules as they were resolved when it was opened")
    requirements = serializers.SerializerMethodField()
    reviews = ReviewSchema(many=True)
    grant = serializers.SerializerMethodField()

    @extend_schema_field(RequirementSchema(many=True))
    def get_requirements(self, request: AccessRequest) -> list[dict[str, Any]]:
        return list(RequirementSchema(selectors.standings(request), many=True).data)

    @extend_schema_field(GrantSchema(allow_null=True))
    def get_grant(self, request: AccessRequest) -> dict[str, Any] | None:
        grant = getattr(request, "grant", None)
        if grant is None:
            return None
        grant.subject, grant.service = request.subject, request.service  # a grant is for what was asked
        return dict(GrantSchema(grant, context={"routes": request.routes.all()}).data)


class AskSchema(serializers.Serializer[Any]):
    subject = serializers.CharField(required=False, max_length=300, help_text="Yourself when left out")
    service = serializers.CharField(max_length=63)
    routes = serializers.ListField(
        child=serializers.CharField(max_length=100),
        min_length=1,
        max_length=200,
        error_messages={"min_length": "Choose at least one route."},
    )
    points = serializers.ListField(
        child=serializers.ChoiceField(choices=Point.choices), required=False, default=list, max_length=2
    )
    duration = serializers.IntegerField(min_value=1, max_value=LONGEST, help_text="Seconds")
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)
    treatment = TreatmentSchema(
        required=False, default=None, allow_null=True, help_text="Asks for a traffic rule instead of access"
    )


class NewRequestSchema(AskSchema):
    reason = serializers.CharField(max_length=5000)
    ticket = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


class ReviewInput(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    comment = serializers.CharField(required=False, default="", allow_blank=True, max_length=5000)


class WhyInput(serializers.Serializer[Any]):
    why = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


class ListQuery(serializers.Serializer[Any]):
    service = serializers.CharField(required=False, default="", max_length=63)
    subject = serializers.CharField(required=False, default="", max_length=300)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class RequestQuery(ListQuery):
    state = serializers.ChoiceField(choices=RequestState.choices, required=False, default="")
    requester = serializers.CharField(required=False, default="", max_length=300)


class GrantQuery(ListQuery):
    state = serializers.ChoiceField(choices=GrantState.choices, required=False, default="")


class DecideInput(serializers.Serializer[Any]):
    subject = serializers.CharField(required=False, max_length=300, help_text="Yourself when left out")
    service = serializers.CharField(max_length=63)
    method = serializers.CharField(max_length=10)
    path = serializers.CharField(max_length=2000, trim_whitespace=False)
    point = serializers.ChoiceField(choices=Point.choices)


class DecisionSchema(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    reason = serializers.ChoiceField(choices=[(one.value, one.value) for one in Reason])
    sentence = serializers.CharField()
    grants = serializers.ListField(child=serializers.CharField())
    route = serializers.CharField(allow_null=True)
    guardrail = serializers.CharField(allow_null=True)


class RequestPage(serializers.Serializer[Any]):
    results = RequestSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class GrantPage(serializers.Serializer[Any]):
    results = GrantSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class ApprovalSchema(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()
    sentence = serializers.CharField()
    people = PersonSchema(many=True)


class CauseSchema(serializers.Serializer[Any]):
    sentence = serializers.CharField()


class RiskSchema(serializers.Serializer[Any]):
    level = serializers.ChoiceField(choices=LEVELS)
    causes = CauseSchema(many=True)


class BlockerSchema(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class PreviewSchema(serializers.Serializer[Any]):
    can_be_sent = serializers.BooleanField()
    subject = PersonSchema()
    service = serializers.CharField()
    points = serializers.ListField(child=serializers.ChoiceField(choices=Point.choices))
    duration = serializers.IntegerField()
    max_duration = serializers.IntegerField()
    approvals = ApprovalSchema(many=True)
    blockers = BlockerSchema(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    already = serializers.ListField(child=serializers.CharField(), help_text="What is open to the subject already")
    risk = RiskSchema()
    affected = PersonSchema(many=True)
    others = PersonSchema(many=True)
    changes = serializers.SerializerMethodField(help_text="The planned change, in words")

    def get_changes(self, shown: Any) -> list[str]:
        return [change.sentence for change in shown.planned.plan.changes]


class Codes(serializers.ListField):
    """A selector of a rule: what it names; nothing means anything."""

    child = serializers.CharField()


class RuleSchema(serializers.Serializer[ApprovalRule]):
    slug = serializers.CharField()
    version = serializers.IntegerField()
    sentence = serializers.CharField()
    enabled = serializers.BooleanField()
    sensitivities = Codes()
    services = Codes()
    subject_kinds = Codes()
    methods = Codes()
    points = Codes()
    approver_kind = serializers.ChoiceField(choices=SelectorKind.choices, allow_blank=True)
    approver_value = serializers.CharField(help_text="The role or the team, where the kind needs one")
    count = serializers.IntegerField()
    max_duration = serializers.IntegerField(allow_null=True, help_text="Seconds; null when it limits nothing")


class RuleList(serializers.Serializer[Any]):
    results = RuleSchema(many=True)


class GuardrailSchema(serializers.Serializer[Guardrail]):
    slug = serializers.CharField()
    version = serializers.IntegerField()
    sentence = serializers.CharField()
    enabled = serializers.BooleanField()
    kinds = Codes()
    subjects = Codes()
    services = Codes()
    routes = Codes()
    methods = Codes()
    points = Codes()


class GuardrailList(serializers.Serializer[Any]):
    results = GuardrailSchema(many=True)


class InboxSchema(serializers.Serializer[Any]):
    results = RequestSchema(many=True)


class BulkReviewInput(ReviewInput):
    requests = serializers.ListField(
        child=serializers.CharField(max_length=32),
        min_length=1,
        max_length=100,
        error_messages={"min_length": "Name at least one request."},
    )


class BulkResultSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    state = serializers.ChoiceField(choices=RequestState.choices, allow_blank=True, help_text="Empty when refused")
    code = serializers.CharField(source="refusal.code", default="", help_text="Why it was refused")
    detail = serializers.CharField(source="refusal.message", default="")


class BulkReviewSchema(serializers.Serializer[Any]):
    results = BulkResultSchema(many=True)


class ReachQuery(serializers.Serializer[Any]):
    at = serializers.DateTimeField(required=False, default=None, help_text="Any moment, past or to come; else now")


class OpenRouteSchema(serializers.Serializer[Any]):
    key = serializers.CharField(source="id")
    methods = serializers.SerializerMethodField()
    template = serializers.CharField()

    def get_methods(self, route: Any) -> list[str]:
        return sorted(route.methods)


class ReachSchema(serializers.Serializer[Any]):
    subject = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.CharField()
    point = serializers.ChoiceField(choices=Point.choices)
    routes = OpenRouteSchema(many=True)
    grants = serializers.ListField(child=serializers.CharField(), source="grant_ids")
    via = serializers.ListField(child=serializers.CharField(), help_text="The teams it comes by")
    until = serializers.DateTimeField(allow_null=True)


class ReachPage(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    results = ReachSchema(many=True)
