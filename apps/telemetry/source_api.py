"""Log shippers over the REST API. Their tokens are shown once, by the command that makes them, and never here."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as
from apps.rollout.policies import KEEPERS
from apps.telemetry import selectors, services
from apps.telemetry.source_views import MOST


class SourceSchema(serializers.Serializer[Any]):
    name = serializers.CharField()
    points = serializers.ListField(child=serializers.CharField(), help_text="Where the calls it may tell of were seen")
    created_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class SourcePage(serializers.Serializer[Any]):
    results = SourceSchema(many=True)


class SourceList(APIView):
    @extend_schema(
        operation_id="sources_list",
        summary="Log shippers: whose lines are believed, and of which doors",
        responses=SourcePage,
        tags=["calls"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *KEEPERS)
        return Response(SourcePage({"results": selectors.list_sources()[:MOST]}).data)


class SourceRevoke(APIView):
    @extend_schema(
        operation_id="source_revoke",
        summary="Take nothing more from a log shipper, such as one whose token leaked",
        request=None,
        responses=SourcePage,
        tags=["calls"],
    )
    def post(self, request: Request, name: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        services.revoke_source(name=name, actor=actor, at=timezone.now())
        return Response(SourcePage({"results": selectors.list_sources()[:MOST]}).data)
