"""Asking for outside addresses, and guarding hosts, over the REST API: the same services and refusals as the pages."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access import selectors, services
from apps.access.api_schemas import LONGEST, RequestDetailSchema
from apps.access.models import Origin
from apps.access.policies import GOVERNORS
from apps.identity.acting import acting, acting_as, given
from apps.identity.models import Scope

MOST_HOSTS = 500


class PartyInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    contact = serializers.CharField(max_length=254, help_text="An e-mail address of somebody there")
    purpose = serializers.CharField(max_length=300, help_text="What it is to us")
    team = serializers.CharField(max_length=300, help_text="The key of a team of yours that answers for it")


class AddressRequestInput(serializers.Serializer[Any]):
    party = serializers.CharField(required=False, max_length=300, help_text="The key of a party that is known")
    new_party = PartyInput(required=False, help_text="Or who it is; one that your team has already is found again")
    service = serializers.CharField(max_length=63)
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=60), min_length=1, max_length=200, help_text="Addresses and blocks"
    )
    duration = serializers.IntegerField(min_value=1, max_value=LONGEST, help_text="Seconds")
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)
    reason = serializers.CharField(max_length=5000)
    ticket = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("party" in attrs) == ("new_party" in attrs):
            raise serializers.ValidationError({"party": ["Name a party, or describe a new one; not both."]})
        return attrs


class GuardedHostSchema(serializers.Serializer[Any]):
    host = serializers.CharField()
    environment = serializers.CharField(source="environment.slug")
    always = serializers.ListField(child=serializers.CharField(), help_text="Addresses that need no grant")
    why = serializers.CharField()


class GuardedHostPage(serializers.Serializer[Any]):
    results = GuardedHostSchema(many=True)


class GuardedHostInput(serializers.Serializer[Any]):
    host = serializers.CharField(max_length=253)
    always = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, default=list, max_length=200
    )
    why = serializers.CharField(max_length=300)
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)


class StopGuardingInput(serializers.Serializer[Any]):
    host = serializers.CharField(max_length=253)
    detached = serializers.BooleanField(help_text="The edge's own security policy asks the list no longer")
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)


class AddressRequests(APIView):
    @extend_schema(
        operation_id="address_requests_create",
        summary="Ask that an outside party's addresses may reach the token check of a service's host",
        request=AddressRequestInput,
        responses={201: RequestDetailSchema},
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        asked, actor = given(AddressRequestInput, request.data), acting(request)
        described = asked.pop("new_party", None)
        party = services.NewParty(**described) if described else asked.pop("party")
        addresses = "\n".join(asked.pop("addresses"))
        opened = services.open_address_request(
            actor=actor,
            party=party,
            service_slug=asked.pop("service"),
            addresses=addresses,
            origin=Origin.API,
            at=timezone.now(),
            **asked,
        )
        found = selectors.get_visible_request(viewer=actor, public_id=opened.public_id)
        return Response(RequestDetailSchema(found).data, status=status.HTTP_201_CREATED)


class GuardedHosts(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="hosts_list",
        summary="Hosts that only listed addresses reach",
        responses=GuardedHostPage,
        tags=["rules"],
    )
    def get(self, request: Request) -> Response:
        return Response(GuardedHostPage({"results": selectors.list_guarded_hosts()[:MOST_HOSTS]}).data)


class GuardHost(APIView):
    @extend_schema(
        operation_id="hosts_guard",
        summary="Guard a host by a list, or change who always may reach it",
        request=GuardedHostInput,
        responses=GuardedHostSchema,
        tags=["rules"],
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, *GOVERNORS).actor
        asked = given(GuardedHostInput, request.data)
        always = "\n".join(asked.pop("always"))
        at = timezone.now()
        row = services.guard_host(always=always, actor=actor, at=at, **asked)
        return Response(GuardedHostSchema(row).data)


class StopGuarding(APIView):
    @extend_schema(
        operation_id="hosts_stop",
        summary="Let every address reach a host again; its list is emptied",
        request=StopGuardingInput,
        responses=GuardedHostSchema,
        tags=["rules"],
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, *GOVERNORS).actor
        row = services.stop_guarding(actor=actor, at=timezone.now(), **given(StopGuardingInput, request.data))
        return Response(GuardedHostSchema(row).data)
