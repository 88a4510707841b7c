"""A target's account at Akamai over the REST API. What is secret goes in and never comes out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit.errors import NotFound
from apps.identity.acting import acting_as, given
from apps.rollout import tasks
from apps.rollout.akamai.edgerc import (
    DEFAULT_SECTION,
    LARGEST_FILE,
    EdgeGridCredential,
    from_environment,
    parse_edgerc,
)
from apps.rollout.api import TargetSchema
from apps.rollout.models import Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import connecting, preflights
from apps.rollout.services.akamai import leaving
from apps.rollout.services.targets import get_target


class ConnectionSchema(serializers.Serializer[Any]):
    host = serializers.CharField()
    account_switch_key = serializers.CharField()
    connected_from = serializers.CharField(help_text="In words; empty when a command or nobody gave it")
    connected_at = serializers.DateTimeField(allow_null=True)


class ConnectionInput(serializers.Serializer[Any]):
    edgerc = serializers.CharField(
        required=False, default="", write_only=True, allow_blank=True, max_length=LARGEST_FILE, trim_whitespace=False
    )
    section = serializers.CharField(required=False, default=DEFAULT_SECTION, max_length=60)
    from_environment = serializers.BooleanField(required=False, default=False, help_text="Instead of `edgerc`")
    account_switch_key = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)


@sensitive_variables()
def credential_of(wish: Mapping[str, Any], environment: Mapping[str, str]) -> EdgeGridCredential:
    """From where a ConnectionInput says. Raises BadEdgerc."""
    section = wish["section"]
    if wish["from_environment"]:
        return from_environment(environment, section)
    return parse_edgerc(wish["edgerc"], section)


class FindingSchema(serializers.Serializer[Any]):
    area = serializers.CharField()
    name = serializers.CharField()
    verdict = serializers.ChoiceField(choices=["granted", "missing", "unknown"])
    said = serializers.CharField()
    without = serializers.CharField(help_text="What breaks when it is missing")
    needed = serializers.BooleanField()


class PreflightSchema(serializers.Serializer[Any]):
    asked_at = serializers.DateTimeField()
    asked_by = serializers.CharField()
    finished_at = serializers.DateTimeField(allow_null=True)
    asked = serializers.IntegerField(help_text="Questions to ask")
    answered = serializers.IntegerField()
    error = serializers.CharField()
    findings = FindingSchema(many=True)


class ConnectionDetail(APIView):
    @extend_schema(
        operation_id="target_connection_read",
        summary="Where a target's vendor is, and since when it is connected",
        responses=ConnectionSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(_connection(get_target(slug)))

    @extend_schema(
        operation_id="target_connection_replace",
        summary="Give a target another EdgeGrid credential, tried before it is kept",
        request=ConnectionInput,
        responses=ConnectionSchema,
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(ConnectionInput, request.data)
        target = connecting.connect(
            slug=slug,
            credential=credential_of(wish, os.environ),
            account_switch_key=wish["account_switch_key"],
            actor=actor,
            at=timezone.now(),  # noqa: TID251 - a view
        )
        tasks.poke([slug])
        return Response(_connection(target))


def _connection(target: Target) -> dict[str, object]:
    return {
        "host": str(target.config.get("base_url", "")).partition("://")[2],
        "account_switch_key": target.config.get("account_switch_key", ""),
        "connected_from": target.facts.get("connected_from", ""),
        "connected_at": target.facts.get("connected_at"),
    }


class TargetLeave(APIView):
    @extend_schema(
        operation_id="target_leave",
        summary="Take a target out of Akamai: a worker takes away what was made there; only a person can ask for it",
        request=None,
        responses={202: TargetSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        leaving.ask(slug=slug, actor=actor, at=timezone.now())  # noqa: TID251 - a view
        tasks.poke([slug])
        return Response(TargetSchema(get_target(slug)).data, status=202)


class NoPreflight(NotFound):
    code = "no_preflight"
    default_message = "Nobody has looked yet. Ask for it with POST."


class PreflightDetail(APIView):
    @extend_schema(
        operation_id="target_preflight_read",
        summary="What the vendor's account lets us do, as it was last seen",
        responses=PreflightSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        last = preflights.latest(get_target(slug))
        if last is None:
            raise NoPreflight
        return Response(PreflightSchema(last).data)

    @extend_schema(
        operation_id="target_preflight_ask",
        summary="Have it looked at again; the answers come one by one",
        request=None,
        responses={202: PreflightSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        made = preflights.ask(slug=slug, actor=actor, at=timezone.now())  # noqa: TID251 - a view
        return Response(PreflightSchema(made).data, status=202)
