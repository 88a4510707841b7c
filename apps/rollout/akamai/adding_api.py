"""A new edge at Akamai over the REST API. It is tried before anything is written, as in the browser."""

from __future__ import annotations

import os
from dataclasses import fields

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout import tasks
from apps.rollout.akamai.forms import TIERS
from apps.rollout.akamai.rest import ConnectionInput, credential_of
from apps.rollout.api import TargetSchema
from apps.rollout.models import DriverName
from apps.rollout.policies import KEEPERS
from apps.rollout.services.akamai import adding
from apps.rollout.services.akamai.placing import Place
from apps.rollout.services.targets import TargetSpec
from apps.rollout.surroundings import DEFAULT_NAMESPACE

LARGEST_ID = 2**31 - 1


class EdgeInput(ConnectionInput):
    slug = serializers.SlugField(max_length=63, help_text="In addresses and labels; it cannot be changed")
    name = serializers.CharField(max_length=100)
    environment = serializers.SlugField(max_length=63, help_text="It has no edge yet")
    group_id = serializers.IntegerField(
        required=False, min_value=1, max_value=LARGEST_ID, help_text="By default the only one the API client sees"
    )
    contract_id = serializers.CharField(
        required=False, max_length=60, help_text="By default the first that EdgeWorkers is on"
    )
    resource_tier_id = serializers.ChoiceField(required=False, default=TIERS[0][0], choices=TIERS)
    probe_url = serializers.CharField(
        required=False, max_length=253, help_text="Where its doors are called; by default at their own hosts"
    )
    edgeworker_id = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=LARGEST_ID, help_text="By default its own"
    )
    replaces = serializers.BooleanField(
        required=False, default=False, help_text="What runs on that EdgeWorker now may be replaced"
    )
    namespace = serializers.CharField(required=False, default=DEFAULT_NAMESPACE, max_length=32)
    makes_namespace = serializers.BooleanField(required=False, default=True, help_text="Where it is missing")


class EdgeAdd(APIView):
    @extend_schema(
        operation_id="edge_add",
        summary="Add an edge at Akamai to an environment; it is tried before anything is written",
        request=EdgeInput,
        responses={201: TargetSchema},
    )
    @sensitive_variables()
    def post(self, request: Request) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(EdgeInput, request.data)
        said = ("group_id", "contract_id", "resource_tier_id", "probe_url")
        target = adding.add(
            spec=TargetSpec(
                slug=wish["slug"],
                name=wish["name"],
                driver=DriverName.AKAMAI,
                config={name: wish[name] for name in said if name in wish},
                environment=wish["environment"],
            ),
            credential=credential_of(wish, os.environ),
            account_switch_key=wish["account_switch_key"],
            wish=Place(**{one.name: wish[one.name] for one in fields(Place)}),
            actor=actor,
            at=timezone.now(),
        )
        tasks.poke([target.slug])
        return Response(TargetSchema(target).data, status=201)
