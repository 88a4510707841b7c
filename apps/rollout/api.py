"""Targets, revisions and activations over the REST API. For those who watch over the estate."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit.errors import NotFound
from apps.identity import selectors as identity
from apps.identity.acting import acting
from apps.rollout.models import Activation, Revision, Target

WATCHERS = ("operator", "security", "auditor", "administrator")
LIMIT = 50


class TargetSchema(serializers.Serializer[Target]):
    slug = serializers.CharField()
    name = serializers.CharField()
    driver = serializers.CharField()
    point = serializers.CharField()
    latest_revision = serializers.IntegerField(source="latest_number")
    active_revision = serializers.IntegerField(source="active_number")
    error = serializers.CharField()


class RevisionSchema(serializers.Serializer[Revision]):
    number = serializers.IntegerField()
    digest = serializers.CharField()
    summary = serializers.CharField()
    causes = serializers.JSONField()
    rehearsed = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class ActivationSchema(serializers.Serializer[Activation]):
    revision = serializers.IntegerField(source="revision.number")
    state = serializers.CharField()
    events = serializers.JSONField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)
    proven_at = serializers.DateTimeField(allow_null=True)


class TargetPage(serializers.Serializer[Any]):
    results = TargetSchema(many=True)


class RevisionPage(serializers.Serializer[Any]):
    results = RevisionSchema(many=True)
    before = serializers.IntegerField(allow_null=True)


class ActivationPage(serializers.Serializer[Any]):
    results = ActivationSchema(many=True)
    before = serializers.IntegerField(allow_null=True)


class BeforeQuery(serializers.Serializer[Any]):
    before = serializers.IntegerField(required=False, default=2**62, min_value=1, max_value=2**62)


class TargetList(APIView):
    @extend_schema(
        operation_id="targets_list", summary="Where access is enforced", responses=TargetPage, tags=["rollout"]
    )
    def get(self, request: Request) -> Response:
        _require_watcher(request)
        return Response({"results": TargetSchema(Target.objects.order_by("slug"), many=True).data})


class RevisionList(APIView):
    @extend_schema(
        operation_id="revisions_list",
        summary="What a target should hold, newest first",
        parameters=[BeforeQuery],
        responses=RevisionPage,
        tags=["rollout"],
    )
    def get(self, request: Request, slug: str) -> Response:
        target, before = _target(request, slug), _before(request)
        rows = list(Revision.objects.filter(target=target, number__lt=before).order_by("-number")[: LIMIT + 1])
        following = rows[LIMIT - 1].number if len(rows) > LIMIT else None
        return Response({"results": RevisionSchema(rows[:LIMIT], many=True).data, "before": following})


class ActivationList(APIView):
    @extend_schema(
        operation_id="activations_list",
        summary="How a target got there, newest first",
        parameters=[BeforeQuery],
        responses=ActivationPage,
        tags=["rollout"],
    )
    def get(self, request: Request, slug: str) -> Response:
        target, before = _target(request, slug), _before(request)
        found = Activation.objects.filter(target=target, pk__lt=before).select_related("revision")
        rows = list(found.order_by("-pk")[: LIMIT + 1])
        following = rows[LIMIT - 1].pk if len(rows) > LIMIT else None
        return Response({"results": ActivationSchema(rows[:LIMIT], many=True).data, "before": following})


def _require_watcher(request: Request) -> None:
    if not identity.has_role(acting(request), *WATCHERS):
        raise PermissionDenied("Operators, security, auditors and administrators watch the rollout.")


def _target(request: Request, slug: str) -> Target:
    _require_watcher(request)
    target = Target.objects.filter(slug=slug).first()
    if target is None:
        raise NotFound
    return target


def _before(request: Request) -> int:
    query = BeforeQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    return int(query.validated_data["before"])
