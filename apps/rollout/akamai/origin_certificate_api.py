"""The client certificate of an edge target over the REST API. Its private key is at Akamai and stays there."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout.models import OriginCertificate
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import origin_certificates
from apps.rollout.services.akamai.origin_certificates import CertificateInput, NoOriginCertificate
from apps.rollout.services.targets import get_target


class CertificateVersionSchema(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    guid = serializers.CharField()
    status = serializers.CharField(help_text="In Akamai's words")
    expires_at = serializers.CharField(help_text="Empty until it is signed")
    use = serializers.CharField()


class OriginCertificateSchema(serializers.Serializer[Any]):
    hostname = serializers.CharField()
    email = serializers.CharField()
    certificate_id = serializers.IntegerField(allow_null=True)
    versions = CertificateVersionSchema(many=True)
    deployed_guid = serializers.CharField(help_text="The newest version that is everywhere at Akamai")
    bound_guid = serializers.CharField(help_text="The version the property on production names")
    agreed_to_renewals_by = serializers.CharField(help_text="Empty: a person looks at each")
    renews_at = serializers.DateTimeField(allow_null=True)
    activations_needed = serializers.IntegerField(help_text="Of the property, for a renewal")
    activations_left = serializers.IntegerField(help_text="Of the property, today")
    waiting_for = serializers.CharField()
    error = serializers.CharField()
    checked_at = serializers.DateTimeField(allow_null=True)


class OriginCertificateInput(serializers.Serializer[Any]):
    hostname = serializers.CharField(max_length=253)
    email = serializers.CharField(max_length=254)
    agree_to_renewals = serializers.BooleanField(required=False, default=False, help_text="A person's to give")


class TargetOriginCertificate(APIView):
    @extend_schema(
        operation_id="target_origin_certificate_read",
        summary="The client certificate a target shows to the mesh, and when it is renewed",
        responses=OriginCertificateSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        row = origin_certificates.get_origin_certificate(get_target(slug))
        if row is None:
            raise NoOriginCertificate
        return _answer(row)

    @extend_schema(
        operation_id="target_origin_certificate_ask",
        summary="Have the client certificate made and signed, and a change of the property compared",
        request=OriginCertificateInput,
        responses={202: OriginCertificateSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        wish = CertificateInput(**given(OriginCertificateInput, request.data))
        return _answer(origin_certificates.ask(slug=slug, given=wish, actor=actor, at=timezone.now()), 202)


class TargetOriginCertificateRenew(APIView):
    @extend_schema(
        operation_id="target_origin_certificate_renew",
        summary="Renew the client certificate now",
        request=None,
        responses={202: OriginCertificateSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(origin_certificates.renew(slug=slug, actor=actor, at=timezone.now()), 202)


class TargetOriginCertificatePlan(APIView):
    @extend_schema(
        operation_id="target_origin_certificate_plan",
        summary="Have the property compared once more, after its last change was dropped or failed",
        request=None,
        responses={202: OriginCertificateSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(origin_certificates.plan_again(slug=slug, actor=actor, at=timezone.now()), 202)


_PLAIN = (
    *("hostname", "email", "certificate_id", "deployed_guid", "bound_guid"),
    *("waiting_for", "error", "checked_at"),
)


def _answer(row: OriginCertificate, status: int = 200) -> Response:
    outlook = origin_certificates.outlook(row, at=timezone.now())
    body = {
        **{name: getattr(row, name) for name in _PLAIN},
        "versions": origin_certificates.version_rows(row),
        "agreed_to_renewals_by": row.agreed_by,
        "renews_at": outlook.renews_at,
        "activations_needed": origin_certificates.ACTIVATIONS,
        "activations_left": outlook.room,
    }
    return Response(OriginCertificateSchema(body).data, status=status)
