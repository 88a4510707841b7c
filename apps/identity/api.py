"""Who am I, who is there, and my tokens, over the REST API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity import selectors, services
from apps.identity.acting import acting, given, page_of
from apps.identity.errors import ScopeNotHeld
from apps.identity.models import ApiToken, Kind, MembershipRole, Role, Scope, Subject, SubjectState


class SubjectSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    name = serializers.CharField()


class MeSerializer(serializers.Serializer[Any]):
    subject = SubjectSerializer()
    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices))
    teams = SubjectSerializer(many=True)
    may_ask_for = SubjectSerializer(many=True)


class TokenSerializer(serializers.Serializer[Any]):
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
    @extend_schema(operation_id="me", summary="Who the console takes you for", responses=MeSerializer)
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
    @extend_schema(operation_id="tokens_list", summary="Your API tokens", responses=TokenListSerializer)
    def get(self, request: Request) -> Response:
        return Response(TokenListSerializer({"results": selectors.list_api_tokens(acting(request))}).data)

    @extend_schema(
        operation_id="tokens_create",
        summary="Make an API token",
        request=NewTokenSerializer,
        responses={201: IssuedTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        asked = given(NewTokenSerializer, request.data)
        at, subject = timezone.now(), acting(request)
        _require_held(request, asked["scopes"])
        issued = services.issue_api_token(
            subject_key=asked.get("subject", subject.key),
            name=asked["name"],
            scopes=asked["scopes"],
            expires_at=at + timedelta(days=asked["days"]),
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
    )
    def post(self, request: Request, token_id: int) -> Response:
        token = services.revoke_api_token(token_id=token_id, actor=acting(request).actor, at=timezone.now())
        return Response(TokenSerializer(token).data)


def _require_held(request: Request, scopes: list[str]) -> None:
    """An API token makes no token that may do more than itself."""
    if isinstance(request.auth, ApiToken) and not set(scopes) <= set(request.auth.scopes):
        raise ScopeNotHeld


class MemberSerializer(serializers.Serializer[Any]):
    team = SubjectSerializer()
    member = SubjectSerializer()
    role = serializers.ChoiceField(choices=MembershipRole.choices)


class SubjectDetailSerializer(SubjectSerializer):
    state = serializers.ChoiceField(choices=SubjectState.choices)
    owner = serializers.CharField(source="owner.key", allow_null=True, default=None, help_text="Of an agent")
    team = serializers.CharField(source="team.key", allow_null=True, default=None, help_text="Of workloads and agents")
    purpose = serializers.CharField()
    roles = serializers.SerializerMethodField()
    members = serializers.SerializerMethodField(help_text="Of a team")
    memberships = serializers.SerializerMethodField(help_text="In teams")

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField(choices=Role.choices)))
    def get_roles(self, subject: Subject) -> list[str]:
        return sorted(selectors.roles_of(subject))

    @extend_schema_field(MemberSerializer(many=True))
    def get_members(self, subject: Subject) -> list[dict[str, Any]]:
        rows = selectors.list_members(subject).select_related("team") if subject.kind == Kind.TEAM else []
        return list(MemberSerializer(rows, many=True).data)

    @extend_schema_field(MemberSerializer(many=True))
    def get_memberships(self, subject: Subject) -> list[dict[str, Any]]:
        rows = subject.team_memberships.select_related("team", "member").order_by("team__name", "team__key")
        return list(MemberSerializer(rows, many=True).data)


class SubjectQuery(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Kind.choices, required=False, default="")
    query = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    after = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class SubjectPage(serializers.Serializer[Any]):
    results = SubjectSerializer(many=True)
    after = serializers.CharField(allow_null=True, help_text="Pass it back as `after` for the next page")


class SuspensionInput(serializers.Serializer[Any]):
    why = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


class SubjectList(APIView):
    @extend_schema(
        operation_id="subjects_list",
        summary="People, teams, workloads and agents, by key",
        parameters=[SubjectQuery],
        responses=SubjectPage,
    )
    def get(self, request: Request) -> Response:
        acting(request)
        query = given(SubjectQuery, request.query_params)
        found = selectors.list_subjects(kind=query["kind"], query=query["query"]).filter(key__gt=query["after"])
        return Response(SubjectPage(page_of(found.order_by("key"), by="key", limit=query["limit"])).data)


class SubjectDetail(APIView):
    @extend_schema(
        operation_id="subjects_retrieve",
        summary="One of them, with its teams or members",
        responses=SubjectDetailSerializer,
    )
    def get(self, request: Request, key: str) -> Response:
        acting(request)
        return Response(SubjectDetailSerializer(selectors.get_subject(key)).data)


class SubjectSuspend(APIView):
    @extend_schema(
        operation_id="subjects_suspend",
        summary="Suspend: both doors shut it out within seconds",
        request=SuspensionInput,
        responses=SubjectDetailSerializer,
    )
    def post(self, request: Request, key: str) -> Response:
        sent = given(SuspensionInput, request.data)
        services.suspend_subject(key=key, actor=acting(request).actor, at=timezone.now(), **sent)
        return Response(SubjectDetailSerializer(selectors.get_subject(key)).data)


class SubjectReinstate(APIView):
    @extend_schema(
        operation_id="subjects_reinstate",
        summary="Undo a suspension; what ended meanwhile stays ended",
        request=SuspensionInput,
        responses=SubjectDetailSerializer,
    )
    def post(self, request: Request, key: str) -> Response:
        sent = given(SuspensionInput, request.data)
        services.reinstate_subject(key=key, actor=acting(request).actor, at=timezone.now(), **sent)
        return Response(SubjectDetailSerializer(selectors.get_subject(key)).data)


class LeavingSerializer(serializers.Serializer[Any]):
    sessions = serializers.IntegerField(help_text="How many ended")
    tokens = serializers.IntegerField(help_text="How many API tokens were revoked")


class SubjectLeave(APIView):
    @extend_schema(
        operation_id="subjects_leave",
        summary="Somebody left: suspend, end sessions, revoke tokens, theirs and those of their agents",
        request=SuspensionInput,
        responses=LeavingSerializer,
    )
    def post(self, request: Request, key: str) -> Response:
        sent = given(SuspensionInput, request.data)
        done = services.leave(subject_key=key, actor=acting(request).actor, at=timezone.now(), **sent)
        return Response(LeavingSerializer(done).data)


class SubjectSignOut(APIView):
    @extend_schema(
        operation_id="subjects_sign_out",
        summary="End every session; tokens and access stay",
        request=None,
        responses=LeavingSerializer,
    )
    def post(self, request: Request, key: str) -> Response:
        ended = services.sign_out_everywhere(subject_key=key, actor=acting(request).actor, at=timezone.now())
        return Response(LeavingSerializer({"sessions": ended, "tokens": 0}).data)
