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
from apps.rollout.api import KEEPERS, WATCHERS, TargetSchema
from apps.rollout.models import Production, Target
from apps.rollout.services import budgets, releasing
from apps.rollout.services.targets import get_target


class MeterSchema(serializers.Serializer[Any]):
    what = serializers.CharField(source="label")
    used = serializers.IntegerField()
    left = serializers.IntegerField()
    limit = serializers.IntegerField()
    resets_at = serializers.DateTimeField(allow_null=True)
    limit_from = serializers.CharField(source="source", help_text="documented, limits, header, refusal or ours")


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
        tags=["rollout"],
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
        tags=["rollout"],
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
        tags=["rollout"],
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
        tags=["rollout"],
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
        tags=["rollout"],
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wanted = acting_as(request, *KEEPERS).actor, given(ProductionInput, request.data)["production"]
        return _answer(releasing.set_production(slug=slug, production=wanted, actor=actor, at=timezone.now()))


def _answer(target: Target) -> Response:
    tasks.poke([target.slug])
    return Response(TargetSchema(get_target(target.slug)).data)
