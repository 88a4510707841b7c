"""An edge target as files, over the REST API."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout import tasks
from apps.rollout.api import TargetSchema
from apps.rollout.export_views import ZIP, zip_answer
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import delivering, exporting
from apps.rollout.services.targets import get_target


class Whatever(BaseContentNegotiation):
    """There is one form of it; a refusal is JSON as everywhere, whatever a client said that it accepts."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]


class TargetExport(APIView):
    content_negotiation_class = Whatever

    @extend_schema(
        operation_id="target_export",
        summary="What an edge target should hold, as Terraform and files: the newest revision, in a zip",
        responses={(200, ZIP): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        acting_as(request, *WATCHERS)
        return zip_answer(exporting.export_of(slug=slug, at=timezone.now()))


class RevisionExport(APIView):
    content_negotiation_class = Whatever

    @extend_schema(
        operation_id="revisions_export",
        summary="An edge target as of one revision, as Terraform and files, in a zip",
        responses={(200, ZIP): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, slug: str, number: int) -> HttpResponse:
        acting_as(request, *WATCHERS)
        return zip_answer(exporting.export_of(slug=slug, at=timezone.now(), number=number))


class DeliveryInput(serializers.Serializer[Any]):
    delivery = serializers.ChoiceField(choices=[(one.value, one.label) for one in delivering.BROUGHT_BY])
    kv_token_ref = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=64,
        help_text="Needed with `exported`, if not known yet",
    )
    edgeworker_id = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=delivering.LARGEST_ID
    )


class TargetDelivery(APIView):
    @extend_schema(
        operation_id="target_delivery",
        summary="Whether the console brings an edge target where it should be, or a team applies the export",
        request=DeliveryInput,
        responses=TargetSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(DeliveryInput, request.data)
        delivering.set_delivery(slug=slug, actor=actor, at=timezone.now(), **wish)
        tasks.poke([slug])
        return Response(TargetSchema(get_target(slug)).data)
