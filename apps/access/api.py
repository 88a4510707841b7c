"""Asking, deciding and ending over the REST API: the same services, rules and refusals as the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access import api_schemas as schemas
from apps.access import policies, refusals, selectors, services
from apps.access.models import Origin
from apps.catalog import selectors as catalog
from apps.compiler.decide import Action, Context, Resource, decide
from apps.compiler.graph import Point
from apps.compiler.reasons import TEXTS
from apps.identity import selectors as identity
from apps.identity.acting import acting, freshness_of_call, given
from apps.identity.models import Scope

if TYPE_CHECKING:
    from apps.identity.models import Subject

INBOX = 200


class RequestList(APIView):
    @extend_schema(
        operation_id="requests_list",
        summary="Requests you may see, newest first",
        parameters=[schemas.RequestQuery],
        responses=schemas.RequestPage,
        tags=["requests"],
    )
    def get(self, request: Request) -> Response:
        query = _listed(given(schemas.RequestQuery, request.query_params))
        page = selectors.list_requests(viewer=acting(request), **query)
        return Response(schemas.RequestPage({"results": page.items, "after": page.after}).data)

    @extend_schema(
        operation_id="requests_create",
        summary="Ask for access",
        request=schemas.NewRequestSchema,
        responses={201: schemas.RequestDetailSchema},
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        asked = given(schemas.NewRequestSchema, request.data)
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
    token_scope = Scope.READ

    @extend_schema(
        operation_id="preview",
        summary="What would happen if you asked: who approves, the risk, the planned change",
        request=schemas.AskSchema,
        responses=schemas.PreviewSchema,
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        actor = acting(request)
        asked = given(schemas.AskSchema, request.data)
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
        sent = given(schemas.ReviewInput, request.data)
        actor = acting(request)
        services.review(
            public_id=public_id, actor=actor, freshness=freshness_of_call(request), at=timezone.now(), **sent
        )
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
        sent = given(schemas.WhyInput, request.data)
        actor = acting(request)
        services.cancel_request(public_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(_request_document(actor, public_id))


class Inbox(APIView):
    @extend_schema(
        operation_id="inbox_list",
        summary="What waits for your answer, the longest waiting first",
        responses=schemas.InboxSchema,
        tags=["requests"],
    )
    def get(self, request: Request) -> Response:
        rows = selectors.list_inbox(subject=acting(request), at=timezone.now())[:INBOX]
        return Response(schemas.InboxSchema({"results": rows}).data)

    @extend_schema(
        operation_id="inbox_review",
        summary="Answer many requests alike; one refusal leaves the others standing",
        request=schemas.BulkReviewInput,
        responses=schemas.BulkReviewSchema,
        tags=["requests"],
    )
    def post(self, request: Request) -> Response:
        sent = given(schemas.BulkReviewInput, request.data)
        done = services.review_many(
            public_ids=sent["requests"],
            actor=acting(request),
            verdict=sent["verdict"],
            comment=sent["comment"],
            freshness=freshness_of_call(request),
            at=timezone.now(),
        )
        return Response(schemas.BulkReviewSchema({"results": done}).data)


class GrantList(APIView):
    @extend_schema(
        operation_id="grants_list",
        summary="Grants you may see, newest first",
        parameters=[schemas.GrantQuery],
        responses=schemas.GrantPage,
        tags=["grants"],
    )
    def get(self, request: Request) -> Response:
        query = _listed(given(schemas.GrantQuery, request.query_params))
        page = selectors.list_grants(viewer=acting(request), **query)
        return Response(schemas.GrantPage({"results": page.items, "after": page.after}).data)


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
        sent = given(schemas.WhyInput, request.data)
        actor = acting(request)
        services.end_grant(public_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(_grant_document(actor, public_id))


class Decide(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="decide",
        summary="Would this call be allowed now, and why",
        request=schemas.DecideInput,
        responses=schemas.DecisionSchema,
        tags=["decisions"],
    )
    def post(self, request: Request) -> Response:
        sent = given(schemas.DecideInput, request.data)
        actor = acting(request)
        key = sent.get("subject", actor.key)
        _require_may_know(actor, key)
        at = timezone.now()
        environment = catalog.get_environment().slug
        found = decide(
            selectors.caller_slice(subject_key=key, service_slug=sent["service"], environment_slug=environment, at=at),
            key,
            Action(sent["method"]),
            Resource(sent["service"], sent["path"]),
            Context(Point(sent["point"])),
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


class Reach(APIView):
    @extend_schema(
        operation_id="services_reach",
        summary="Who can reach a service, through which door and by which grants, at any moment",
        parameters=[schemas.ReachQuery],
        responses=schemas.ReachPage,
        tags=["catalogue"],
    )
    def get(self, request: Request, slug: str) -> Response:
        at = given(schemas.ReachQuery, request.query_params)["at"] or timezone.now()
        rows = selectors.who_can_reach(service_slug=slug, at=at)
        return Response(schemas.ReachPage({"at": at, "results": rows}).data)


class RuleList(APIView):
    @extend_schema(
        operation_id="rules_list",
        summary="The rules by which requests are decided",
        responses=schemas.RuleList,
        tags=["rules"],
    )
    def get(self, request: Request) -> Response:
        return Response(schemas.RuleList({"results": selectors.list_rules()}).data)


class GuardrailList(APIView):
    @extend_schema(
        operation_id="guardrails_list",
        summary="What nobody opens, whoever approves",
        responses=schemas.GuardrailList,
        tags=["rules"],
    )
    def get(self, request: Request) -> Response:
        return Response(schemas.GuardrailList({"results": selectors.list_guardrails()}).data)


def _require_may_know(actor: Subject, key: str) -> None:
    """One may ask about oneself and whom one may ask for; those who watch over all, about anybody."""
    if (
        key == actor.key
        or key in {one.key for one in identity.acting_for(actor)}
        or identity.has_role(actor, *policies.SEE_ALL)
    ):
        return
    raise refusals.NotYourSubject


def _listed(query: dict[str, Any]) -> dict[str, Any]:
    state = query.pop("state")
    return {**query, "states": [state] if state else []}


def _ask(asked: dict[str, Any], actor: Subject) -> dict[str, Any]:
    return {
        "subject_key": asked.get("subject", actor.key),
        "service_slug": asked["service"],
        "route_keys": asked["routes"],
        "points": asked["points"],
        "duration": asked["duration"],
        "environment": asked["environment"],
        "treatment": asked["treatment"],
    }


def _request_document(viewer: Subject, public_id: str) -> dict[str, Any]:
    found = selectors.get_visible_request(viewer=viewer, public_id=public_id)
    return dict(schemas.RequestDetailSchema(found).data)


def _grant_document(viewer: Subject, public_id: str) -> dict[str, Any]:
    return dict(schemas.GrantSchema(selectors.get_visible_grant(viewer=viewer, public_id=public_id)).data)
