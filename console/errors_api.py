"""What every code of a refusal means. The ``type`` of each problem points here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.audit.errors import NotFound, Refusal


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    status: int
    detail: str


HTTP = (
    Code("bad_request", 400, "The request was not well formed."),
    Code("invalid", 400, "Some of what you sent is not right; `fields` says what."),
    Code("parse_error", 400, "The body cannot be read."),
    Code("not_authenticated", 401, "Nobody is signed in, and no API token came with the call."),
    Code("permission_denied", 403, "You may not do this; for a session, the X-CSRFToken header may be missing."),
    Code("missing_scope", 403, "This API token lacks the scope for that."),
    Code("method_not_allowed", 405, "The address does not know this method; `Allow` lists those it knows."),
    Code("not_acceptable", 406, "Only JSON is answered here."),
    Code("too_large", 413, "Send less at once."),
    Code("unsupported_media_type", 415, "Send JSON."),
    Code("server_error", 500, "This is our fault. Nothing was changed."),
)
"""What is refused before any of our rules is asked."""


def codes() -> dict[str, Code]:
    """Every code there is, those of the refusals included. Of refusals that share a code the first speaks."""
    found = {one.code: one for one in HTTP}
    refusals: list[type[Refusal]] = [Refusal, *_below(Refusal)]
    for refusal in refusals:
        found.setdefault(refusal.code, Code(refusal.code, refusal.status, refusal.default_message))
    return dict(sorted(found.items()))


def _below(refusal: type[Refusal]) -> Iterator[type[Refusal]]:
    for one in sorted(refusal.__subclasses__(), key=lambda one: one.__qualname__):
        yield one
        yield from _below(one)


class CodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()


class CodeList(serializers.Serializer[Any]):
    results = CodeSerializer(many=True)


class ErrorList(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(operation_id="errors_list", summary="Every code of a refusal", responses=CodeList, tags=["errors"])
    def get(self, request: Request) -> Response:
        return Response(CodeList({"results": codes().values()}).data)


class ErrorDetail(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="errors_retrieve", summary="What a code means", responses=CodeSerializer, tags=["errors"]
    )
    def get(self, request: Request, code: str) -> Response:
        found = codes().get(code)
        if found is None:
            raise NotFound
        return Response(CodeSerializer(found).data)
