"""Asking, deciding and ending over the REST API: the same services, rules and refusals as the pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access import api_schemas as schemas
from apps.access import policies, refusals, selectors, services
from apps.access.models import AccessRequest, Grant, Origin
from apps.access.selectors.graph import graph_slice
from apps.access.selectors.visibility import visible_grants, visible_requests
from apps.catalog import selectors as catalog
from apps.compiler.decide import Action, Context, Resource, decide
from apps.compiler.graph import Point
from apps.compiler.reasons import TEXTS
from apps.identity import selectors as identity
from apps.identity.acting import acting
from apps.identity.models import Subject


class RequestList(APIView):
    @extend_schema(
        operation_id="requests_list",
        summary="Requests you may see, newest first",
        parameters=[schemas.ListQuery],
        responses=schemas.RequestPage,
        tags=["requests"],
    )
    def get(self, request: Request) -> Response:
        rows = visible_requests(acting(request)).select_related("requester", "subject", "service")
        return _page(request, rows.prefetch_related("routes"), schemas.RequestSchema)

    @extend_schema(
        operation_id="requests_create",
        summary="Ask for access",
        request=schemas.NewRequestSchema,
        responses={201: schemas.RequestDetailSchema},
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        asked = _read(schemas.NewRequestSchema, request.data)
        actor = acting(request)
        opened = services.open_request(
            actor=actor,
            reason=asked["reason"],
            ticket=asked["ticket"],
            origin=Origin.API,
            at=timezone.now(),
            **_ask(asked, actor),
        )
        return Response(_request_document(actor, opened.public_id), status=status.HTTP_201_CREATED)


class Preview(APIView):
    @extend_schema(
        operation_id="preview",
        summary="What would happen if you asked: who approves, the risk, the planned change",
        request=schemas.AskSchema,
        responses=schemas.PreviewSchema,
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        actor = acting(request)
        asked = _read(schemas.AskSchema, request.data)
        shown = selectors.preview(actor=actor, at=timezone.now(), **_ask(asked, actor))
        return Response(schemas.PreviewSchema(shown).data)


class RequestDetail(APIView):
    @extend_schema(
        operation_id="requests_retrieve",
        summary="One request",
        responses=schemas.RequestDetailSchema,
        tags=["requests"],
    )
    def get(self, request: Request, public_id: str) -> Response:
        return Response(_request_document(acting(request), public_id))


class RequestReview(APIView):
    @extend_schema(
        operation_id="requests_review",
        summary="Approve or deny",
        request=schemas.ReviewInput,
        responses=schemas.RequestDetailSchema,
        tags=["requests"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        given = _read(schemas.ReviewInput, request.data)
        actor = acting(request)
        services.review(public_id=public_id, actor=actor, at=timezone.now(), **given)
        return Response(_request_document(actor, public_id))


class RequestCancel(APIView):
    @extend_schema(
        operation_id="requests_cancel",
        summary="Withdraw a request",
        request=schemas.WhyInput,
        responses=schemas.RequestDetailSchema,
        tags=["requests"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        given = _read(schemas.WhyInput, request.data)
        actor = acting(request)
        services.cancel_request(public_id=public_id, actor=actor, at=timezone.now(), **given)
        return Response(_request_document(actor, public_id))


class GrantList(APIView):
    @extend_schema(
        operation_id="grants_list",
        summary="Grants you may see, newest first",
        parameters=[schemas.ListQuery],
        responses=schemas.GrantPage,
        tags=["grants"],
    )
    def get(self, request: Request) -> Response:
        rows = visible_grants(acting(request)).select_related("request", "subject", "service")
        return _page(request, rows.prefetch_related("routes", "doors"), schemas.GrantSchema)


class GrantDetail(APIView):
    @extend_schema(
        operation_id="grants_retrieve",
        summary="One grant and its doors",
        responses=schemas.GrantSchema,
        tags=["grants"],
    )
    def get(self, request: Request, public_id: str) -> Response:
        return Response(_grant_document(acting(request), public_id))


class GrantEnd(APIView):
    @extend_schema(
        operation_id="grants_end",
        summary="End a grant: hand it back, or revoke it as an owner of the service",
        request=schemas.WhyInput,
        responses=schemas.GrantSchema,
        tags=["grants"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        given = _read(schemas.WhyInput, request.data)
        actor = acting(request)
        services.end_grant(public_id=public_id, actor=actor, at=timezone.now(), **given)
        return Response(_grant_document(actor, public_id))


class Decide(APIView):
    @extend_schema(
        operation_id="decide",
        summary="Would this call be allowed now, and why",
        request=schemas.DecideInput,
        responses=schemas.DecisionSchema,
        tags=["decisions"],
    )
    def post(self, request: Request) -> Response:
        given = _read(schemas.DecideInput, request.data)
        actor = acting(request)
        key = given.get("subject", actor.key)
        _require_may_know(actor, key)
        at = timezone.now()
        environment = catalog.get_environment().slug
        found = decide(
            graph_slice(service_slugs=[given["service"]], environment_slug=environment, at=at, also=[key]),
            key,
            Action(given["method"]),
            Resource(given["service"], given["path"]),
            Context(Point(given["point"])),
            int(at.timestamp()),
        )
        document = {
            "allowed": found.allowed,
            "reason": found.reason,
            "sentence": TEXTS[found.reason].sentence,
            "grants": list(found.grant_ids),
            "route": found.route,
            "guardrail": found.guardrail,
        }
        return Response(schemas.DecisionSchema(document).data)


def _require_may_know(actor: Subject, key: str) -> None:
    """One may ask about oneself and whom one may ask for; those who watch over all, about anybody."""
    if key in {one.key for one in identity.acting_for(actor)} or identity.has_role(actor, *policies.SEE_ALL):
        return
    raise refusals.NotYourSubject


def _read(schema: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    given = schema(data=data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def _ask(asked: dict[str, Any], actor: Subject) -> dict[str, Any]:
    return {
        "subject_key": asked.get("subject", actor.key),
        "service_slug": asked["service"],
        "route_keys": asked["routes"],
        "points": asked["points"],
        "duration": asked["duration"],
        "environment": asked["environment"],
    }


def _request_document(viewer: Subject, public_id: str) -> dict[str, Any]:
    rows = visible_requests(viewer).select_related("requester__owner", "subject__owner", "service", "grant__subject")
    found = rows.prefetch_related("routes", "reviews__reviewer").filter(public_id=public_id).first()
    if found is None:
        raise refusals.UnknownRequest
    return dict(schemas.RequestDetailSchema(found).data)


def _grant_document(viewer: Subject, public_id: str) -> dict[str, Any]:
    rows = visible_grants(viewer).select_related("request", "subject", "service").prefetch_related("routes", "doors")
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise refusals.UnknownGrant
    return dict(schemas.GrantSchema(found).data)


def _page(
    request: Request, rows: QuerySet[AccessRequest] | QuerySet[Grant], schema: type[serializers.Serializer[Any]]
) -> Response:
    """A page of ``rows``, newest first, found by key and not by counting."""
    query = _read(schemas.ListQuery, request.query_params)
    exact = {"state": query["state"], "service__slug": query["service"], "subject__key": query["subject"]}
    found = rows.filter(**{name: value for name, value in exact.items() if value})
    if query["before"] is not None:
        found = found.filter(pk__lt=query["before"])
    items = list(found.order_by("-pk")[: query["limit"] + 1])
    shown = items[: query["limit"]]
    before = shown[-1].pk if len(items) > query["limit"] else None
    return Response({"results": schema(shown, many=True).data, "before": before})
