"""Writing rules and guardrails over the REST API: the same checks as the pages, and what it would concern."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access import api, policies
from apps.access import api_schemas as schemas
from apps.access.models import SENSITIVITIES, Point, SelectorKind
from apps.access.selectors import consequences, policy
from apps.access.services import governing
from apps.access.services.governance import GuardrailValues, RuleValues
from apps.compiler.paths import METHODS
from apps.identity.acting import acting_as, given
from apps.identity.models import Kind, Scope

VERSION = "The one you saw; it has moved on when that is no longer the newest"


def codes(known: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.ChoiceField(choices=known), required=False, default=list)


def names() -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, default=list, max_length=200
    )


class RuleInput(serializers.Serializer[Any]):
    sentence = serializers.CharField(max_length=300)
    enabled = serializers.BooleanField(required=False, default=True)
    sensitivities = codes(SENSITIVITIES)
    services = names()
    subject_kinds = codes(Kind.choices)
    methods = codes(METHODS)
    points = codes(Point.choices)
    approver_kind = serializers.ChoiceField(choices=SelectorKind.choices, required=False, default="", allow_blank=True)
    approver_value = serializers.CharField(required=False, default="", allow_blank=True, max_length=255)
    count = serializers.IntegerField(required=False, default=0, min_value=0, max_value=99)
    max_duration = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=schemas.LONGEST, help_text="Seconds"
    )


class NewRuleInput(RuleInput):
    slug = serializers.SlugField(max_length=64)


class RuleChangeInput(RuleInput):
    version = serializers.IntegerField(min_value=1, max_value=schemas.LONGEST, help_text=VERSION)


class GuardrailInput(serializers.Serializer[Any]):
    sentence = serializers.CharField(max_length=300)
    enabled = serializers.BooleanField(required=False, default=True)
    kinds = codes(Kind.choices)
    subjects = names()
    services = names()
    routes = names()
    methods = codes(METHODS)
    points = codes(Point.choices)


class NewGuardrailInput(GuardrailInput):
    slug = serializers.SlugField(max_length=64)


class GuardrailChangeInput(GuardrailInput):
    version = serializers.IntegerField(min_value=1, max_value=schemas.LONGEST, help_text=VERSION)


class EnableInput(serializers.Serializer[Any]):
    enabled = serializers.BooleanField(help_text="False retires it; it stays on the list")
    version = serializers.IntegerField(min_value=1, max_value=schemas.LONGEST, help_text=VERSION)


class ConcernedSchema(serializers.Serializer[Any]):
    services = serializers.SerializerMethodField()
    requests = serializers.SerializerMethodField(help_text="Those that wait for an answer")
    grants = serializers.SerializerMethodField(help_text="Those a guardrail would close, in part or whole")
    uncovered = serializers.SerializerMethodField(help_text="Services at which nobody could be asked any more")

    def get_services(self, found: consequences.Consequences) -> list[str]:
        return [one.slug for one in found.services]

    def get_requests(self, found: consequences.Consequences) -> list[str]:
        return [one.public_id for one in found.requests]

    def get_grants(self, found: consequences.Consequences) -> list[str]:
        return [one.public_id for one in found.grants]

    def get_uncovered(self, found: consequences.Consequences) -> list[str]:
        return [one.slug for one in found.uncovered]


def _now() -> datetime:
    return timezone.now()


def _split(sent: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}
    return str(values.pop("slug", "")), int(str(values.pop("version", governing.NEW))), values


class Rules(api.RuleList):
    @extend_schema(
        operation_id="rules_create",
        summary="Put a new rule in force",
        request=NewRuleInput,
        responses={201: schemas.RuleSchema},
        tags=["rules"],
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        slug, version, values = _split(given(NewRuleInput, request.data))
        made = governing.save_rule(slug=slug, values=RuleValues(**values), version=version, actor=actor, at=_now())
        return Response(schemas.RuleSchema(made).data, status=status.HTTP_201_CREATED)


class RuleDetail(APIView):
    @extend_schema(operation_id="rules_retrieve", summary="One rule", responses=schemas.RuleSchema, tags=["rules"])
    def get(self, request: Request, slug: str) -> Response:
        return Response(schemas.RuleSchema(policy.get_rule(slug)).data)

    @extend_schema(
        operation_id="rules_replace",
        summary="Have a rule say something else; requests that wait keep what they were asked under",
        request=RuleChangeInput,
        responses=schemas.RuleSchema,
        tags=["rules"],
    )
    def put(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        row = policy.get_rule(slug)
        _, version, values = _split(given(RuleChangeInput, request.data))
        wish = RuleValues(**values)
        made = governing.save_rule(slug=row.slug, values=wish, version=version, actor=actor, at=_now())
        return Response(schemas.RuleSchema(made).data)


class RuleEnable(APIView):
    @extend_schema(
        operation_id="rules_enable",
        summary="Retire a rule, or put it in force again",
        request=EnableInput,
        responses=schemas.RuleSchema,
        tags=["rules"],
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        sent = given(EnableInput, request.data)
        return Response(schemas.RuleSchema(governing.enable_rule(slug=slug, actor=actor, at=_now(), **sent)).data)


class RulePreview(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="rules_preview",
        summary="What a rule would concern, were it kept; nothing is changed",
        request=RuleInput,
        responses=ConcernedSchema,
        tags=["rules"],
    )
    def post(self, request: Request, slug: str) -> Response:
        acting_as(request, *policies.GOVERNORS)
        _, _, values = _split(given(RuleInput, request.data))
        found = consequences.consequences_of_rule(slug=slug, values=RuleValues(**values))
        return Response(ConcernedSchema(found).data)


class Guardrails(api.GuardrailList):
    @extend_schema(
        operation_id="guardrails_create",
        summary="Put a new guardrail in force",
        request=NewGuardrailInput,
        responses={201: schemas.GuardrailSchema},
        tags=["rules"],
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        slug, version, values = _split(given(NewGuardrailInput, request.data))
        wish = GuardrailValues(**values)
        made = governing.save_guardrail(slug=slug, values=wish, version=version, actor=actor, at=_now())
        return Response(schemas.GuardrailSchema(made).data, status=status.HTTP_201_CREATED)


class GuardrailDetail(APIView):
    @extend_schema(
        operation_id="guardrails_retrieve", summary="One guardrail", responses=schemas.GuardrailSchema, tags=["rules"]
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(schemas.GuardrailSchema(policy.get_guardrail(slug)).data)

    @extend_schema(
        operation_id="guardrails_replace",
        summary="Have a guardrail say something else; both doors follow",
        request=GuardrailChangeInput,
        responses=schemas.GuardrailSchema,
        tags=["rules"],
    )
    def put(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        row = policy.get_guardrail(slug)
        _, version, values = _split(given(GuardrailChangeInput, request.data))
        wish = GuardrailValues(**values)
        made = governing.save_guardrail(slug=row.slug, values=wish, version=version, actor=actor, at=_now())
        return Response(schemas.GuardrailSchema(made).data)


class GuardrailEnable(APIView):
    @extend_schema(
        operation_id="guardrails_enable",
        summary="Retire a guardrail, or put it in force again",
        request=EnableInput,
        responses=schemas.GuardrailSchema,
        tags=["rules"],
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *policies.GOVERNORS).actor
        sent = given(EnableInput, request.data)
        return Response(
            schemas.GuardrailSchema(governing.enable_guardrail(slug=slug, actor=actor, at=_now(), **sent)).data
        )


class GuardrailPreview(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="guardrails_preview",
        summary="What a guardrail would close, were it kept; nothing is changed",
        request=GuardrailInput,
        responses=ConcernedSchema,
        tags=["rules"],
    )
    def post(self, request: Request, slug: str) -> Response:
        acting_as(request, *policies.GOVERNORS)
        _, _, values = _split(given(GuardrailInput, request.data))
        found = consequences.consequences_of_guardrail(slug=slug, values=GuardrailValues(**values))
        return Response(ConcernedSchema(found).data)
