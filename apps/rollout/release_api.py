"""Code on its way to production, and what the account still allows, over the REST API."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout import tasks
from apps.rollout.api import TargetSchema
from apps.rollout.models import Production, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import adopting, releases, releasing
from apps.rollout.services.akamai import budgets
from apps.rollout.services.safety import MOST_MINUTES, Safety, safety_of, set_safety
from apps.rollout.services.targets import get_target
from apps.rollout.states import ReleaseState


class MeterSchema(serializers.Serializer[Any]):
    what = serializers.CharField(source="label")
    used = serializers.IntegerField()
    left = serializers.IntegerField()
    limit = serializers.IntegerField()
    resets_at = serializers.DateTimeField(allow_null=True)
    limit_from = serializers.CharField(
        source="source", help_text="documented, limits, header, refusal, or own: a limit of ours"
    )


class BudgetPage(serializers.Serializer[Any]):
    results = MeterSchema(many=True)


class ApprovalInput(serializers.Serializer[Any]):
    version = serializers.CharField(max_length=32)


class ProductionInput(serializers.Serializer[Any]):
    production = serializers.ChoiceField(choices=Production.choices)


class TargetBudget(APIView):
    @extend_schema(
        operation_id="targets_budget",
        summary="What the target's Akamai account may still do; empty for a target without such limits",
        responses=BudgetPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        target = get_target(slug)
        rows = budgets.meters(target, timezone.now()) if target.driver == "akamai" else []
        return Response(BudgetPage({"results": rows}).data)


class CodeApprove(APIView):
    @extend_schema(
        operation_id="targets_approve_code",
        summary="Let the version that waits go to production",
        request=ApprovalInput,
        responses=TargetSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, version = acting_as(request, *KEEPERS).actor, given(ApprovalInput, request.data)["version"]
        return _answer(releasing.approve(slug=slug, version=version, actor=actor, at=timezone.now()))


class CodeStop(APIView):
    @extend_schema(
        operation_id="targets_stop_code",
        summary="Stop an activation that has not begun; the code before stays",
        request=None,
        responses=TargetSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(releasing.stop(slug=slug, actor=actor, at=timezone.now()))


class TargetTryAgain(APIView):
    @extend_schema(
        operation_id="targets_try_again",
        summary="Wait no longer, and forget the failures until now",
        request=None,
        responses=TargetSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(releasing.try_again(slug=slug, actor=actor, at=timezone.now()))


class TargetProduction(APIView):
    @extend_schema(
        operation_id="targets_production",
        summary="Whether code goes to production by itself, or when an operator approves",
        request=ProductionInput,
        responses=TargetSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wanted = acting_as(request, *KEEPERS).actor, given(ProductionInput, request.data)["production"]
        return _answer(releasing.set_production(slug=slug, production=wanted, actor=actor, at=timezone.now()))


class AnswerSchema(serializers.Serializer[Any]):
    call = serializers.CharField()
    expected = serializers.CharField()
    answered = serializers.CharField()
    good = serializers.BooleanField()


class ReleaseSchema(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    version = serializers.CharField()
    revision = serializers.IntegerField(source="number")
    state = serializers.ChoiceField(choices=ReleaseState.choices)
    words = serializers.CharField()
    instead_of = serializers.CharField(source="instead_of.version", default="")
    asked_by = serializers.CharField()
    staging = AnswerSchema(many=True)
    production = AnswerSchema(many=True)
    began_at = serializers.DateTimeField()
    production_at = serializers.DateTimeField(allow_null=True)
    watch_until = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class ReleasePage(serializers.Serializer[Any]):
    results = ReleaseSchema(many=True)


class SafetySchema(serializers.Serializer[Any]):
    staging_entry = serializers.CharField(
        max_length=253, allow_blank=True, help_text="a host of the staging network; empty: code is not tried there"
    )
    take_back = serializers.BooleanField(help_text="take code back from production by itself when it is not good")
    error_share = serializers.IntegerField(min_value=1, max_value=100, help_text="per cent of the calls")
    watch_minutes = serializers.IntegerField(min_value=1, max_value=MOST_MINUTES)


class ReleaseList(APIView):
    @extend_schema(
        operation_id="targets_releases",
        summary="The newest versions of the code and what became of them, newest first",
        responses=ReleasePage,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(ReleasePage({"results": releases.latest(get_target(slug))}).data)


class TargetSafety(APIView):
    @extend_schema(
        operation_id="targets_safety",
        summary="How careful a target is with code",
        responses=SafetySchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(SafetySchema(safety_of(get_target(slug))).data)

    @extend_schema(
        operation_id="targets_set_safety",
        summary="Say how careful a target is with code",
        request=SafetySchema,
        responses=SafetySchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, Safety(**given(SafetySchema, request.data))
        target = set_safety(slug=slug, wish=wish, actor=actor, at=timezone.now())
        return Response(SafetySchema(safety_of(target)).data)


class DriftAdopt(APIView):
    @extend_schema(
        operation_id="drift_adopt",
        summary="Take over what somebody changed by hand, where that is safe; only a person may",
        request=None,
        responses=TargetSchema,
    )
    def post(self, request: Request, drift_id: int) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(adopting.adopt(drift_id=drift_id, actor=actor, at=timezone.now()))


def _answer(target: Target) -> Response:
    tasks.poke([target.slug])
    return Response(TargetSchema(get_target(target.slug)).data)
