"""Outside identities, limits and trusted issuers, over the REST API."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity import policies, selectors
from apps.identity.acting import acting, given
from apps.identity.errors import InvalidIssuer, MayNotBind
from apps.identity.models import IssuerKind, ProofKind, Subject
from apps.identity.proofs import bindings, issuers, limits
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.issuers import IssuerInput


class ConditionSerializer(serializers.Serializer[Any]):
    claim = serializers.ListField(child=serializers.CharField(max_length=300), min_length=1, max_length=5)
    match = serializers.ChoiceField(choices=["equal", "prefix"])
    value = serializers.CharField(max_length=300)


class NewProofSerializer(serializers.Serializer[Any]):
    """Which fields count depends on ``kind``."""

    kind = serializers.ChoiceField(choices=ProofKind.choices)
    account = serializers.CharField(required=False, max_length=12)
    name = serializers.CharField(required=False, max_length=64)
    partition = serializers.CharField(required=False, max_length=10)
    stable_id = serializers.CharField(required=False, max_length=128, help_text="AROA... or AIDA...")
    issuer = serializers.CharField(required=False, max_length=40, help_text="The short name of a trusted issuer")
    sub = serializers.CharField(required=False, max_length=255)
    conditions = ConditionSerializer(many=True, required=False)
    jwks = serializers.JSONField(required=False, help_text="A JWK set of public keys")


class ProofSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=ProofKind.choices)
    outside = serializers.CharField(help_text="An ARN, a token's subject, or a client id")
    stable_id = serializers.CharField()
    issuer = serializers.CharField(source="issuer.slug", allow_null=True, default=None)
    conditions = ConditionSerializer(many=True)
    client_id = serializers.CharField(help_text="Of its own key: what its assertions name as iss and sub")
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    ended_why = serializers.CharField()


class ProofListSerializer(serializers.Serializer[Any]):
    results = ProofSerializer(many=True)


class EndingSerializer(serializers.Serializer[Any]):
    why = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)


class LimitsSerializer(serializers.Serializer[Any]):
    calls_per_day = serializers.IntegerField(allow_null=True, min_value=1, max_value=10**9)
    calls_per_minute = serializers.IntegerField(allow_null=True, min_value=1, max_value=10**9)


class LimitsStateSerializer(LimitsSerializer):
    calls_today = serializers.IntegerField(help_text="Allowed calls since midnight UTC, as the doors reported them")


class NewIssuerSerializer(serializers.Serializer[Any]):
    slug = serializers.SlugField(max_length=40)
    kind = serializers.ChoiceField(choices=IssuerKind.choices)
    issuer = serializers.CharField(required=False, max_length=300)
    audience = serializers.CharField(required=False, max_length=300)
    algorithms = serializers.ListField(child=serializers.CharField(max_length=8), required=False, max_length=10)
    jwks_uri = serializers.CharField(required=False, max_length=300)
    jwks = serializers.JSONField(required=False, help_text="Its public keys, where it cannot be asked from here")
    longest_seconds = serializers.IntegerField(required=False, min_value=60, max_value=3600)
    account = serializers.CharField(required=False, max_length=12)
    single_use = serializers.BooleanField(required=False, allow_null=True, default=None)


class IssuerSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField()
    kind = serializers.ChoiceField(choices=IssuerKind.choices)
    issuer = serializers.CharField()
    audience = serializers.CharField()
    algorithms = serializers.ListField(child=serializers.CharField())
    jwks_uri = serializers.CharField(help_text="Empty where its keys were given")
    longest_seconds = serializers.IntegerField()
    account = serializers.CharField()
    single_use = serializers.BooleanField()
    enabled = serializers.BooleanField()


class IssuerListSerializer(serializers.Serializer[Any]):
    results = IssuerSerializer(many=True)


class SwitchSerializer(serializers.Serializer[Any]):
    enabled = serializers.BooleanField(required=False)
    jwks = serializers.JSONField(required=False, help_text="Other public keys, for an issuer whose keys were given")


def _seen(request: Request, key: str) -> Subject:
    subject = selectors.get_subject(key)
    if not policies.may_see_bindings(acting(request), subject):
        raise MayNotBind
    return subject


class ProofList(APIView):
    @extend_schema(
        operation_id="proofs_list",
        summary="How a workload or agent proves itself",
        responses=ProofListSerializer,
        tags=["proofs"],
    )
    def get(self, request: Request, key: str) -> Response:
        return Response(ProofListSerializer({"results": bindings.list_bindings(_seen(request, key))}).data)

    @extend_schema(
        operation_id="proofs_create",
        summary="Bind an outside identity to a workload or agent",
        request=NewProofSerializer,
        responses={201: ProofSerializer},
        tags=["proofs"],
    )
    def post(self, request: Request, key: str) -> Response:
        sent = given(NewProofSerializer, request.data)
        jwks = sent.pop("jwks", None)
        outside = Outside(**sent, jwks=jwks if isinstance(jwks, dict) else None)
        made = bindings.bind(subject_key=key, outside=outside, actor=acting(request).actor, at=timezone.now())
        return Response(ProofSerializer(made).data, status=status.HTTP_201_CREATED)


class ProofEnd(APIView):
    @extend_schema(
        operation_id="proofs_end",
        summary="End one: it gets no further token",
        request=EndingSerializer,
        responses=ProofSerializer,
        tags=["proofs"],
    )
    def post(self, request: Request, key: str, binding_id: int) -> Response:
        sent = given(EndingSerializer, request.data)
        actor = acting(request).actor
        ended = bindings.end_binding(binding_id=binding_id, subject_key=key, actor=actor, at=timezone.now(), **sent)
        return Response(ProofSerializer(ended).data)


class Limits(APIView):
    @extend_schema(
        operation_id="limits_retrieve", summary="An agent's budget", responses=LimitsStateSerializer, tags=["proofs"]
    )
    def get(self, request: Request, key: str) -> Response:
        return Response(self._state(_seen(request, key)))

    @extend_schema(
        operation_id="limits_set",
        summary="Set an agent's budget; null is no limit",
        request=LimitsSerializer,
        responses=LimitsStateSerializer,
        tags=["proofs"],
    )
    def post(self, request: Request, key: str) -> Response:
        sent = given(LimitsSerializer, request.data)
        actor = acting(request).actor
        made = limits.set_limits(subject_key=key, actor=actor, at=timezone.now(), **sent)
        return Response(self._state(made.subject))

    def _state(self, subject: Subject) -> dict[str, Any]:
        found = limits.limits_of(subject)
        state = {
            "calls_per_day": found.calls_per_day if found else None,
            "calls_per_minute": found.calls_per_minute if found else None,
            "calls_today": limits.calls_today(subject.key, at=timezone.now()),
        }
        return dict(LimitsStateSerializer(state).data)


class IssuerList(APIView):
    @extend_schema(
        operation_id="issuers_list",
        summary="Whose tokens about workloads are taken",
        responses=IssuerListSerializer,
        tags=["proofs"],
    )
    def get(self, request: Request) -> Response:
        acting(request)
        return Response(IssuerListSerializer({"results": issuers.list_issuers()}).data)

    @extend_schema(
        operation_id="issuers_create",
        summary="Trust an issuer; what is left out is as usual for its kind",
        request=NewIssuerSerializer,
        responses={201: IssuerSerializer},
        tags=["proofs"],
    )
    def post(self, request: Request) -> Response:
        actor = acting(request).actor
        policies.require_can_administer(actor)
        sent = issuers.completed(IssuerInput(**given(NewIssuerSerializer, request.data)))
        made = issuers.add_issuer(given=sent, actor=actor, at=timezone.now())
        return Response(IssuerSerializer(made).data, status=status.HTTP_201_CREATED)


class IssuerSwitch(APIView):
    @extend_schema(
        operation_id="issuers_switch",
        summary="Switch an issuer on or off, or give it other keys",
        request=SwitchSerializer,
        responses=IssuerSerializer,
        tags=["proofs"],
    )
    def post(self, request: Request, slug: str) -> Response:
        sent, actor, at = given(SwitchSerializer, request.data), acting(request).actor, timezone.now()
        if not sent:
            raise InvalidIssuer(fields={"enabled": ["Say true or false, or give keys."]})
        if "jwks" in sent:
            keys = sent["jwks"] if isinstance(sent["jwks"], dict) else {}
            made = issuers.give_keys(slug=slug, jwks=keys, actor=actor, at=at)
        if "enabled" in sent:
            made = issuers.switch_issuer(slug=slug, enabled=sent["enabled"], actor=actor, at=at)
        return Response(IssuerSerializer(made).data)
