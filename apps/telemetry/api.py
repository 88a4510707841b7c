"""Calls over the REST API: what the live page shows, for programs."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting, given
from apps.telemetry import edge_gaps, selectors

VERDICTS = [("allow", "Allowed"), ("deny", "Denied")]


class CallDoorSchema(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    verdict = serializers.ChoiceField(choices=VERDICTS)
    reason = serializers.CharField()
    status = serializers.IntegerField()
    ms = serializers.FloatField()
    node = serializers.CharField()
    actor = serializers.CharField(help_text="Who acts for the caller; empty when nobody does")
    variant = serializers.CharField(help_text="The version that traffic rules chose; empty for the usual one")
    rules = serializers.ListField(child=serializers.CharField(), help_text="Traffic rules that applied, by id")


class CallSchema(serializers.Serializer[Any]):
    rid = serializers.CharField()
    first_at = serializers.DateTimeField()
    subject = serializers.CharField()
    service = serializers.CharField()
    method = serializers.CharField()
    path = serializers.CharField()
    route = serializers.CharField()
    verdict = serializers.ChoiceField(choices=VERDICTS)
    reason = serializers.CharField()
    status = serializers.IntegerField()
    probe = serializers.BooleanField()
    grants = serializers.ListField(child=serializers.CharField())
    edge = CallDoorSchema(allow_null=True)
    ingress = CallDoorSchema(allow_null=True)
    mesh = CallDoorSchema(allow_null=True)


class CallPageSchema(serializers.Serializer[Any]):
    results = CallSchema(many=True)
    after = serializers.CharField(allow_null=True, help_text="Pass it back as `after` for older calls")


class CallQuery(serializers.Serializer[Any]):
    rid = serializers.CharField(required=False, default="", max_length=32, help_text="One call, by its request id")
    subject = serializers.CharField(required=False, default="", max_length=300)
    service = serializers.CharField(required=False, default="", max_length=63)
    reason = serializers.CharField(required=False, default="", max_length=40)
    verdict = serializers.ChoiceField(choices=VERDICTS, required=False, default="")
    text = serializers.CharField(required=False, default="", max_length=200)
    after = serializers.CharField(required=False, default="", max_length=100)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=selectors.LARGEST_PAGE)


class CallList(APIView):
    @extend_schema(
        operation_id="calls_list",
        summary="Calls you may see, newest first, each with what both doors said",
        parameters=[CallQuery],
        responses=CallPageSchema,
        tags=["calls"],
    )
    def get(self, request: Request) -> Response:
        query = given(CallQuery, request.query_params)
        after, limit, rid = query.pop("after"), query.pop("limit"), query.pop("rid")
        filters = selectors.CallFilter(**{**query, "text": rid or query["text"]})
        page = selectors.list_calls(viewer=acting(request), filters=filters, after=after, limit=limit)
        return Response(CallPageSchema({"results": page.items, "after": page.after}).data)


class GapSchema(serializers.Serializer[Any]):
    target = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    calls = serializers.IntegerField(
        help_text="Calls that the mesh saw and the edge's log lacks; 0: nothing came at all, so nobody can tell"
    )


class GapPageSchema(serializers.Serializer[Any]):
    results = GapSchema(many=True)


class GapList(APIView):
    @extend_schema(
        operation_id="calls_gaps",
        summary="Where the edge's log of the last hour has gaps, the newest first",
        responses=GapPageSchema,
        tags=["calls"],
    )
    def get(self, request: Request) -> Response:
        acting(request)
        found = edge_gaps.list_gaps(at=timezone.now())
        return Response(GapPageSchema({"results": found}).data)
