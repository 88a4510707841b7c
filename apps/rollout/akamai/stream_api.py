"""The log of an edge target over the REST API. Its secret is made here, goes to Akamai, and is never shown."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout.models import EdgeStream, StreamKey
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.akamai import adopting_streams, streaming
from apps.rollout.services.akamai.streaming import NoStream, StreamInput
from apps.rollout.services.targets import get_target


class StreamSecretSchema(serializers.Serializer[Any]):
    made_at = serializers.DateTimeField()
    active_at = serializers.DateTimeField(allow_null=True, help_text="When Akamai's stream was first active with it")
    used_at = serializers.DateTimeField(allow_null=True)


class CandidateSchema(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.CharField()
    endpoint = serializers.CharField(help_text="Where it delivers until it is ours")
    field_count = serializers.IntegerField(help_text="How many data fields it has")


class StreamSchema(serializers.Serializer[Any]):
    stream_id = serializers.IntegerField(allow_null=True, help_text="Akamai's; null until it is made")
    status = serializers.CharField(help_text="In Akamai's words; empty until it is made")
    wanted = serializers.BooleanField(help_text="Whether it should deliver")
    hostname = serializers.CharField()
    email = serializers.CharField()
    endpoint = serializers.CharField()
    error = serializers.CharField()
    checked_at = serializers.DateTimeField(allow_null=True)
    active_since = serializers.DateTimeField(allow_null=True)
    adopting = serializers.IntegerField(allow_null=True, help_text="The number of a stream that is to become ours")
    candidate = CandidateSchema(allow_null=True, help_text="What was found under that number; agree to it by version")
    secrets = StreamSecretSchema(many=True, help_text="The newest first; without the secrets themselves")


class StreamInputSchema(serializers.Serializer[Any]):
    hostname = serializers.CharField(max_length=253)
    email = serializers.CharField(max_length=254)
    address = serializers.CharField(max_length=300, help_text="Where Akamai reaches this console: https:// and a name")
    stream_id = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, help_text="A stream that is there, to be adopted"
    )


class AdoptInputSchema(serializers.Serializer[Any]):
    version = serializers.IntegerField(min_value=1, help_text="Of the candidate that was shown")


class TargetStream(APIView):
    @extend_schema(
        operation_id="target_stream_read",
        summary="The stream that delivers a target's log lines here",
        responses=StreamSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        stream = streaming.get_stream(get_target(slug))
        if stream is None:
            raise NoStream
        return _answer(stream)

    @extend_schema(
        operation_id="target_stream_ask",
        summary="Have the stream made, adopted, changed or started; a worker does it",
        request=StreamInputSchema,
        responses={202: StreamSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, StreamInput(**given(StreamInputSchema, request.data))
        return _answer(streaming.ask(slug=slug, given=wish, actor=actor, at=timezone.now()), 202)


class TargetStreamAdopt(APIView):
    @extend_schema(
        operation_id="target_stream_adopt",
        summary="Agree that the stream found under a number becomes ours",
        request=AdoptInputSchema,
        responses={202: StreamSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, version = acting_as(request, *KEEPERS).actor, given(AdoptInputSchema, request.data)["version"]
        return _answer(adopting_streams.agree(slug=slug, version=version, actor=actor, at=timezone.now()), 202)


class TargetStreamStop(APIView):
    @extend_schema(
        operation_id="target_stream_stop",
        summary="Have the stream deliver no more",
        request=None,
        responses={202: StreamSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(streaming.stop(slug=slug, actor=actor, at=timezone.now()), 202)


class TargetStreamRenew(APIView):
    @extend_schema(
        operation_id="target_stream_renew_secret",
        summary="Make another secret for deliveries; the one before is believed until Akamai uses it, and an hour more",
        request=None,
        responses={202: StreamSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(streaming.renew_secret(slug=slug, actor=actor, at=timezone.now()), 202)


class TargetStreamEndSecret(APIView):
    @extend_schema(
        operation_id="target_stream_end_secret",
        summary="End the older of two secrets at once",
        request=None,
        responses=StreamSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        return _answer(streaming.end_older_secret(slug=slug, actor=actor, at=timezone.now()))


def _answer(stream: EdgeStream, status: int = 200) -> Response:
    keys: list[StreamKey] = streaming.believed(stream)
    facts = {
        name: getattr(stream, name)
        for name in (
            "stream_id",
            "status",
            "wanted",
            "hostname",
            "email",
            "error",
            "checked_at",
            "active_since",
            "adopting",
        )
    }
    body = {**facts, "candidate": stream.candidate or None, "endpoint": streaming.endpoint_of(stream), "secrets": keys}
    return Response(StreamSchema(body).data, status=status)
