"""Who am I, and my tokens, over the REST API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity import selectors, services
from apps.identity.acting import acting
from apps.identity.models import ApiToken, Scope, Subject


class SubjectSerializer(serializers.Serializer[Subject]):
    key = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField()


class MeSerializer(serializers.Serializer[Any]):
    subject = SubjectSerializer()
    roles = serializers.ListField(child=serializers.CharField())
    teams = SubjectSerializer(many=True)
    may_ask_for = SubjectSerializer(many=True)


class TokenSerializer(serializers.Serializer[ApiToken]):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField()
    prefix = serializers.CharField(read_only=True)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)
    last_used_at = serializers.DateTimeField(read_only=True, allow_null=True)
    revoked_at = serializers.DateTimeField(read_only=True, allow_null=True)


class NewTokenSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), min_length=1)
    days = serializers.IntegerField(min_value=1, max_value=366, default=30)
    subject = serializers.CharField(required=False, max_length=300, help_text="Yourself when left out")


class IssuedTokenSerializer(TokenSerializer):
    token = serializers.CharField(help_text="Shown this once")


class TokenListSerializer(serializers.Serializer[Any]):
    results = TokenSerializer(many=True)


class Me(APIView):
    @extend_schema(
        operation_id="me", summary="Who the console takes you for", responses=MeSerializer, tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        subject = acting(request)
        document = {
            "subject": subject,
            "roles": sorted(selectors.roles_of(subject)),
            "teams": selectors.list_teams_of(subject),
            "may_ask_for": selectors.acting_for(subject),
        }
        return Response(MeSerializer(document).data)


class TokenList(APIView):
    @extend_schema(
        operation_id="tokens_list", summary="Your API tokens", responses=TokenListSerializer, tags=["identity"]
    )
    def get(self, request: Request) -> Response:
        tokens = selectors.list_api_tokens(acting(request))
        return Response({"results": TokenSerializer(tokens, many=True).data})

    @extend_schema(
        operation_id="tokens_create",
        summary="Make an API token",
        request=NewTokenSerializer,
        responses={201: IssuedTokenSerializer},
        tags=["identity"],
    )
    def post(self, request: Request) -> Response:
        asked = NewTokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        at, subject = timezone.now(), acting(request)
        issued = services.issue_api_token(
            subject_key=asked.validated_data.get("subject", subject.key),
            name=asked.validated_data["name"],
            scopes=asked.validated_data["scopes"],
            expires_at=at + timedelta(days=asked.validated_data["days"]),
            actor=subject.actor,
            at=at,
        )
        document = {**TokenSerializer(issued.token).data, "token": issued.plain}
        return Response(document, status=status.HTTP_201_CREATED)


class TokenRevoke(APIView):
    @extend_schema(
        operation_id="tokens_revoke",
        summary="Revoke an API token",
        request=None,
        responses=TokenSerializer,
        tags=["identity"],
    )
    def post(self, request: Request, token_id: int) -> Response:
        token = services.revoke_api_token(token_id=token_id, actor=acting(request).actor, at=timezone.now())
        return Response(TokenSerializer(token).data)
