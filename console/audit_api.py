"""The audit record over the REST API. It stands here because who may read it is known above the audit app."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit import selectors
from apps.audit.verification import verify
from apps.identity import selectors as identity
from apps.identity.acting import acting

READERS = ("auditor", "security", "administrator")


class EventSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor_id = serializers.CharField()
    actor_name = serializers.CharField()
    action = serializers.CharField()
    target_type = serializers.CharField()
    target_id = serializers.CharField()
    target_name = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    hash = serializers.CharField()


class EventPageSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)
    before = serializers.IntegerField(allow_null=True, help_text="Pass it back as `before` for older events")


class EventQuerySerializer(serializers.Serializer[Any]):
    actor = serializers.CharField(required=False, default="", max_length=300)
    action = serializers.CharField(required=False, default="", max_length=100, help_text="A prefix")
    target_type = serializers.CharField(required=False, default="", max_length=60)
    target_id = serializers.CharField(required=False, default="", max_length=300)
    since = serializers.DateTimeField(required=False, default=None)
    until = serializers.DateTimeField(required=False, default=None)
    before = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=selectors.LARGEST_PAGE)


class VerificationSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    checked = serializers.IntegerField()
    first_bad_seq = serializers.IntegerField(allow_null=True)
    why = serializers.CharField()


def _require_reader(request: Request) -> None:
    if not identity.has_role(acting(request), *READERS):
        raise PermissionDenied("Auditors, security and administrators read the audit record.")


class EventList(APIView):
    @extend_schema(
        operation_id="audit_list",
        summary="The audit record, newest first",
        parameters=[EventQuerySerializer],
        responses=EventPageSerializer,
        tags=["audit"],
    )
    def get(self, request: Request) -> Response:
        _require_reader(request)
        query = EventQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        given = dict(query.validated_data)
        before, limit = given.pop("before"), given.pop("limit")
        page = selectors.list_events(filters=selectors.EventFilter(**given), before_seq=before, limit=limit)
        return Response({"results": EventSerializer(page.events, many=True).data, "before": page.next_before})


class Verification(APIView):
    @extend_schema(
        operation_id="audit_verify",
        summary="Walk the whole chain and name the first row that does not hold",
        responses=VerificationSerializer,
        tags=["audit"],
    )
    def get(self, request: Request) -> Response:
        _require_reader(request)
        return Response(VerificationSerializer(verify()).data)
