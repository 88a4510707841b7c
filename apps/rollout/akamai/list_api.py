"""Lists of addresses at a target, over the REST API."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as
from apps.rollout import tasks
from apps.rollout.models import ListProduct
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import listing
from apps.rollout.services.targets import get_target


class EntrySchema(serializers.Serializer[Any]):
    value = serializers.CharField()
    ends_at = serializers.IntegerField(allow_null=True, help_text="Seconds since 1970, where the list keeps ends")
    grants = serializers.ListField(child=serializers.CharField(), help_text="None: it always may")


class StrangeSchema(serializers.Serializer[Any]):
    value = serializers.CharField()
    what = serializers.CharField()


class AddressListSchema(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    host = serializers.CharField()
    product = serializers.ChoiceField(choices=ListProduct.choices, allow_blank=True)
    list_id = serializers.CharField(help_text="Akamai's name for it; empty until it is made")
    version = serializers.IntegerField(allow_null=True)
    staging = serializers.CharField(help_text="Akamai's word for how far it is on staging")
    staging_version = serializers.IntegerField(allow_null=True)
    production = serializers.CharField(help_text="Akamai's word for how far it is on production")
    production_version = serializers.IntegerField(allow_null=True)
    entries = EntrySchema(many=True)
    strange = StrangeSchema(many=True, help_text="What somebody else did to it")
    enforced = serializers.BooleanField(
        allow_null=True, help_text="Whether a call from an unlisted address was refused"
    )
    waiting_for = serializers.CharField()
    error = serializers.CharField()
    settled_at = serializers.DateTimeField(allow_null=True, help_text="When it was last seen live as it should be")


class AddressListPage(serializers.Serializer[Any]):
    results = AddressListSchema(many=True)


class AddressLists(APIView):
    @extend_schema(
        operation_id="lists_list",
        summary="The lists of addresses in front of guarded hosts, and how far each is",
        responses=AddressListPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(AddressListPage({"results": listing.of_target(get_target(slug))}).data)


class AddressListPutBack(APIView):
    @extend_schema(
        operation_id="lists_put_back",
        summary="Have a list hold again what was approved",
        request=None,
        responses=AddressListSchema,
    )
    def post(self, request: Request, slug: str, list_id: int) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        at = timezone.now()
        row = listing.put_back(slug=slug, list_id=list_id, actor=actor, at=at)
        tasks.wake_lists(at)
        return Response(AddressListSchema(row).data)
