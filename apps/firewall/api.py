"""Firewall requests over the REST API: the same services, rules and refusals as the pages."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.firewall import api_schemas as schemas
from apps.firewall import selectors, services
from apps.firewall.models import Origin
from apps.firewall.terms import BadDirection, BadPorts, end_of, read_direction, read_ports
from apps.identity.acting import acting, given
from apps.identity.models import Scope


class FirewallRequests(APIView):
    @extend_schema(
        operation_id="firewall_requests_list",
        summary="Firewall requests you may see, newest first",
        parameters=[schemas.FirewallQuery],
        responses=schemas.FirewallRequestPage,
    )
    def get(self, request: Request) -> Response:
        query = given(schemas.FirewallQuery, request.query_params)
        rows, after = selectors.list_firewall_requests(viewer=acting(request), **query)
        return Response(schemas.FirewallRequestPage({"results": rows, "after": after}).data)

    @extend_schema(
        operation_id="firewall_requests_create",
        summary="Write a firewall request: lines, a text that holds lines, or both; nothing is sent yet",
        request=schemas.NewFirewallRequest,
        responses={201: schemas.FirewallRequestDetail},
    )
    def post(self, request: Request) -> Response:
        sent, actor = given(schemas.NewFirewallRequest, request.data), acting(request)
        lines, pasted = [_written(line) for line in sent.pop("lines")], sent.pop("pasted")
        made = services.draft_request(
            actor=actor, head=services.Head(**sent), lines=lines, pasted=pasted, origin=Origin.API, at=timezone.now()
        )
        return Response(_document(request, made.public_id), status=status.HTTP_201_CREATED)


class FirewallRequestDetail(APIView):
    @extend_schema(
        operation_id="firewall_requests_retrieve",
        summary="One firewall request: how each line is understood and how far it is",
        responses=schemas.FirewallRequestDetail,
    )
    def get(self, request: Request, public_id: str) -> Response:
        return Response(_document(request, public_id))


class FirewallConfirm(APIView):
    @extend_schema(
        operation_id="firewall_requests_confirm",
        summary="Say that lines are understood rightly",
        request=schemas.ConfirmInput,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent = given(schemas.ConfirmInput, request.data)
        services.confirm(public_id=public_id, numbers=sent["lines"], actor=acting(request), at=timezone.now())
        return Response(_document(request, public_id))


class FirewallNarrowest(APIView):
    @extend_schema(
        operation_id="firewall_requests_narrowest",
        summary="Take the narrowest way for every line that waits for a choice",
        request=None,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str) -> Response:
        services.take_narrowest(public_id=public_id, actor=acting(request), at=timezone.now())
        return Response(_document(request, public_id))


class FirewallSend(APIView):
    @extend_schema(
        operation_id="firewall_requests_send",
        summary="Send what is ready: each line becomes an ordinary request, or a part of one",
        request=None,
        responses=schemas.SentSchema,
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent = services.submit(public_id=public_id, actor=acting(request), at=timezone.now())
        found = selectors.get_firewall_request(viewer=acting(request), public_id=public_id)
        left = {str(number): why for number, why in sent.left.items()}
        return Response(schemas.SentSchema({"opened": sent.opened, "left": left, "request": found}).data)


class FirewallWithdraw(APIView):
    @extend_schema(
        operation_id="firewall_requests_withdraw",
        summary="Withdraw what is not sent yet",
        request=None,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str) -> Response:
        services.withdraw(public_id=public_id, actor=acting(request), at=timezone.now())
        return Response(_document(request, public_id))


class FirewallLineDetail(APIView):
    @extend_schema(
        operation_id="firewall_lines_change",
        summary="Have a line say something else; what was confirmed about it is forgotten",
        request=schemas.LineInput,
        responses=schemas.FirewallRequestDetail,
    )
    def put(self, request: Request, public_id: str, number: int) -> Response:
        written = _written(given(schemas.LineInput, request.data))
        services.edit_line(
            public_id=public_id, number=number, written=written, actor=acting(request), at=timezone.now()
        )
        return Response(_document(request, public_id))


class FirewallLineChoose(APIView):
    @extend_schema(
        operation_id="firewall_lines_choose",
        summary="Say which of the candidates of one side is meant",
        request=schemas.ChooseInput,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str, number: int) -> Response:
        sent = given(schemas.ChooseInput, request.data)
        services.choose(public_id=public_id, number=number, actor=acting(request), at=timezone.now(), **sent)
        return Response(_document(request, public_id))


class FirewallLineTake(APIView):
    @extend_schema(
        operation_id="firewall_lines_take",
        summary="Have a line opened in one of the ways proposed",
        request=schemas.TakeInput,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str, number: int) -> Response:
        sent = given(schemas.TakeInput, request.data)
        services.take(public_id=public_id, number=number, actor=acting(request), at=timezone.now(), **sent)
        return Response(_document(request, public_id))


class FirewallLineDrop(APIView):
    @extend_schema(
        operation_id="firewall_lines_drop",
        summary="Leave a line out, or take it in again",
        request=schemas.DropInput,
        responses=schemas.FirewallRequestDetail,
    )
    def post(self, request: Request, public_id: str, number: int) -> Response:
        sent = given(schemas.DropInput, request.data)
        services.drop(public_id=public_id, number=number, actor=acting(request), at=timezone.now(), **sent)
        return Response(_document(request, public_id))


class FirewallLineWays(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="firewall_lines_ways",
        summary="What stands on the way of a line, hop by hop, and how it could be opened, the narrowest first",
        responses=schemas.WaysSchema,
    )
    def get(self, request: Request, public_id: str, number: int) -> Response:
        viewer = acting(request)
        line = selectors.get_seen_line(viewer=viewer, public_id=public_id, number=number)
        ways = selectors.get_ways(line=line, viewer=viewer, at=timezone.now())
        return Response(schemas.WaysSchema(ways or {"hops": [], "proposals": []}).data)


class FirewallClone(APIView):
    @extend_schema(
        operation_id="firewall_clone",
        summary="Write a firewall request that gives one service the access of another",
        request=schemas.CloneInput,
        responses={201: schemas.FirewallRequestDetail},
    )
    def post(self, request: Request) -> Response:
        sent = given(schemas.CloneInput, request.data)
        source, to, sides = sent.pop("source"), sent.pop("to"), sent.pop("sides")
        head = services.Head(**{**sent, "title": sent["title"] or f"{to} like {source}"})
        made = services.clone_access(
            actor=acting(request), source=source, to=to, sides=sides, head=head, origin=Origin.API, at=timezone.now()
        )
        return Response(_document(request, made.public_id), status=status.HTTP_201_CREATED)


def _written(line: dict[str, Any]) -> services.Written:
    until = None if line["until"] is None else end_of(line["until"])
    try:
        ports, direction = read_ports(line["ports"]), read_direction(line["direction"])
    except BadPorts as error:
        raise serializers.ValidationError({"ports": [str(error)]}) from error
    except BadDirection as error:
        raise serializers.ValidationError({"direction": [str(error)]}) from error
    pairs = tuple((low, high) for low, high in ports)
    return services.Written(**{**line, "ports": pairs, "direction": direction, "until": until})


def _document(request: Request, public_id: str) -> dict[str, Any]:
    found = selectors.get_firewall_request(viewer=acting(request), public_id=public_id)
    return dict(schemas.FirewallRequestDetail(found).data)
