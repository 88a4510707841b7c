"""What was given up, over the REST API. It stands here because who may see it is known above the outbox app."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as
from apps.outbox import selectors, services
from apps.outbox.models import State
from console.pages.outbox import KEEPERS

MOST = 200


class MessageSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    topic = serializers.CharField()
    key = serializers.CharField()
    state = serializers.ChoiceField(choices=State.choices)
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    available_at = serializers.DateTimeField()
    last_error = serializers.CharField()


class OutboxSerializer(serializers.Serializer[Any]):
    waiting = serializers.IntegerField()
    dead = serializers.IntegerField()
    oldest_waiting = serializers.DateTimeField(allow_null=True, help_text="When the longest waiting became due")
    results = MessageSerializer(many=True, help_text="What was given up, newest first")


class Outbox(APIView):
    @extend_schema(
        operation_id="outbox",
        summary="How far behind the outbox is, and what was given up",
        responses=OutboxSerializer,
        tags=["outbox"],
    )
    def get(self, request: Request) -> Response:
        acting_as(request, *KEEPERS)
        health = selectors.get_health(at=timezone.now())
        document = {
            "waiting": health.waiting,
            "dead": health.dead,
            "oldest_waiting": health.oldest_waiting,
            "results": selectors.list_dead()[:MOST],
        }
        return Response(OutboxSerializer(document).data)


class OutboxRetry(APIView):
    @extend_schema(
        operation_id="outbox_retry",
        summary="Try again what was given up",
        request=None,
        responses=MessageSerializer,
        tags=["outbox"],
    )
    def post(self, request: Request, message_id: int) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        message = services.retry(message_id=message_id, actor=actor, at=timezone.now())
        return Response(MessageSerializer(message).data)
