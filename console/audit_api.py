"""The audit record over the REST API. It stands here because who may read it is known above the audit app."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit import selectors
from apps.audit.verification import verify
from apps.identity.acting import acting_as, given
from console.pages.audit import READERS


class EventSerializer(serializers.Serializer[Any]):
    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor_id = serializers.CharField()
    actor_name = serializers.CharField()
    action = serializers.CharField()
    target_type = serializers.CharField()
    target_id = serializers.CharField()
    target_name = serializers.CharField()
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField(allow_null=True)
    hash = serializers.CharField()


class EventPageSerializer(serializers.Serializer[Any]):
    results = EventSerializer(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older events")


class EventQuerySerializer(serializers.Serializer[Any]):
    actor = serializers.CharField(required=False, default="", max_length=300)
    action = serializers.CharField(required=False, default="", max_length=100, help_text="A prefix")
    target_type = serializers.CharField(required=False, default="", max_length=60)
    target_id = serializers.CharField(required=False, default="", max_length=300)
    since = serializers.DateTimeField(required=False, default=None)
    until = serializers.DateTimeField(required=False, default=None)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=selectors.LARGEST_PAGE)


class VerificationSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    checked = serializers.IntegerField()
    first_bad_seq = serializers.IntegerField(allow_null=True)
    why = serializers.CharField()


class EventList(APIView):
    @extend_schema(
        operation_id="audit_list",
        summary="The audit record, newest first",
        parameters=[EventQuerySerializer],
        responses=EventPageSerializer,
        tags=["audit"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *READERS)
        query = given(EventQuerySerializer, request.query_params)
        after, limit = query.pop("after"), query.pop("limit")
        page = selectors.list_events(filters=selectors.EventFilter(**query), before_seq=after, limit=limit)
        return Response(EventPageSerializer({"results": page.events, "after": page.next_before}).data)


class Verification(APIView):
    @extend_schema(
        operation_id="audit_verify",
        summary="Walk the whole chain and name the first row that does not hold",
        responses=VerificationSerializer,
        tags=["audit"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *READERS)
        return Response(VerificationSerializer(verify()).data)
