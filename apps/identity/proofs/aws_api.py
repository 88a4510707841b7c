"""The copied roles and users of AWS accounts, over the REST API. For those who watch over the estate."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit.errors import NotFound
from apps.identity import selectors
from apps.identity.acting import acting, acting_as, given, page_of
from apps.identity.models import AwsPrincipal, ProofKind, Role
from apps.identity.proofs import aws_directory, aws_reading, aws_syncing, bindings
from apps.identity.proofs.api import ProofSerializer
from apps.identity.proofs.aws_reading import Asked
from apps.identity.views.aws import WATCHERS, outside_of


class PrincipalQuery(serializers.Serializer[Any]):
    query = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    account = serializers.CharField(required=False, default="", allow_blank=True, max_length=12)
    kind = serializers.ChoiceField(choices=[ProofKind.AWS_ROLE, ProofKind.AWS_USER], required=False, default="")
    show = serializers.ChoiceField(choices=["bound", "free", "vanished"], required=False, default="")
    after = serializers.CharField(required=False, default="", allow_blank=True, max_length=128)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class PrincipalSerializer(serializers.Serializer[Any]):
    stable_id = serializers.CharField(help_text="AWS's own id: AROA... or AIDA...")
    account = serializers.CharField()
    kind = serializers.ChoiceField(choices=[ProofKind.AWS_ROLE, ProofKind.AWS_USER])
    name = serializers.CharField()
    path = serializers.CharField()
    arn = serializers.CharField()
    tags = serializers.DictField(child=serializers.CharField())
    seen_at = serializers.DateTimeField()
    vanished_at = serializers.DateTimeField(allow_null=True)
    bound_to = serializers.SerializerMethodField(help_text="The workload or agent it stands for")

    def get_bound_to(self, one: AwsPrincipal) -> str | None:
        bound = aws_reading.bound_of(one)
        return bound.key if bound else None


class PrincipalPage(serializers.Serializer[Any]):
    results = PrincipalSerializer(many=True)
    after = serializers.CharField(allow_null=True, help_text="Pass it back as `after` for the next page")


class PrincipalBinding(serializers.Serializer[Any]):
    subject = serializers.CharField(max_length=300, help_text="The key of a workload or agent")


class SyncSerializer(serializers.Serializer[Any]):
    role = serializers.CharField(help_text="The ARN of the role that reads the account; `own` is the console itself")
    account = serializers.CharField()
    state = serializers.ChoiceField(choices=["never", "asked", "copied", "held", "failed"])
    asked_at = serializers.DateTimeField(allow_null=True)
    done_at = serializers.DateTimeField(allow_null=True)
    seen = serializers.IntegerField()
    new = serializers.IntegerField()
    vanished = serializers.IntegerField()
    bindings_ended = serializers.IntegerField()
    would_vanish = serializers.IntegerField(help_text="When held: send it back as `may_lose` to confirm")
    message = serializers.CharField()


class SyncList(serializers.Serializer[Any]):
    results = SyncSerializer(many=True)
    policy = serializers.CharField(help_text="The IAM policy the reading role needs, as JSON")


class SyncInput(serializers.Serializer[Any]):
    role = serializers.CharField(max_length=300)
    may_lose = serializers.IntegerField(required=False, default=0, min_value=0, max_value=10**7)


class PrincipalList(APIView):
    @extend_schema(
        operation_id="aws_principals_list",
        summary="The roles and users of the AWS accounts that are copied",
        parameters=[PrincipalQuery],
        responses=PrincipalPage,
        tags=["aws"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *WATCHERS)
        query = given(PrincipalQuery, request.query_params)
        asked = Asked(text=query["query"], account=query["account"], kind=query["kind"], show=query["show"])
        found = aws_reading.after(aws_reading.list_principals(asked), query["after"])
        return Response(PrincipalPage(page_of(found, by="stable_id", limit=query["limit"])).data)


class PrincipalDetail(APIView):
    @extend_schema(
        operation_id="aws_principals_retrieve",
        summary="One of them",
        responses=PrincipalSerializer,
        tags=["aws"],
    )
    def get(self, request: Request, stable_id: str) -> Response:
        return Response(PrincipalSerializer(_seen(request, stable_id)).data)


class PrincipalBind(APIView):
    @extend_schema(
        operation_id="aws_principals_bind",
        summary="Let it stand for a workload or agent, by AWS's own id",
        request=PrincipalBinding,
        responses={201: ProofSerializer},
        tags=["aws"],
    )
    def post(self, request: Request, stable_id: str) -> Response:
        sent = given(PrincipalBinding, request.data)
        outside, actor = outside_of(_seen(request, stable_id)), acting(request).actor
        made = bindings.bind(subject_key=sent["subject"], outside=outside, actor=actor, at=timezone.now())
        return Response(ProofSerializer(made).data, status=status.HTTP_201_CREATED)


class Syncs(APIView):
    @extend_schema(
        operation_id="aws_syncs_list",
        summary="The accounts that are copied, and how the last time went",
        responses=SyncList,
        tags=["aws"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *WATCHERS)
        rows = [aws_reading.described(one) for one in aws_reading.list_syncs()]
        return Response(SyncList({"results": rows, "policy": aws_directory.policy()}).data)

    @extend_schema(
        operation_id="aws_syncs_ask",
        summary="Copy an account now, or confirm that many of its roles and users vanished",
        request=SyncInput,
        responses={202: SyncSerializer},
        tags=["aws"],
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, Role.ADMINISTRATOR).actor
        row = aws_syncing.ask_sync(**given(SyncInput, request.data), actor=actor, at=timezone.now())
        return Response(SyncSerializer(aws_reading.described(row)).data, status=status.HTTP_202_ACCEPTED)


def _seen(request: Request, stable_id: str) -> AwsPrincipal:
    if not selectors.has_role(acting(request), *WATCHERS):
        raise NotFound
    return aws_reading.get_principal(stable_id)
