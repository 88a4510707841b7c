"""Upkeep over the REST API: findings, clean-ups, standing access that is looked at again, and the map of both doors."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access import upkeep_schemas as schemas
from apps.access.policies import GOVERNORS
from apps.access.selectors import cleaning, standing, upkeep
from apps.access.selectors.access_map import access_map, service_map
from apps.access.selectors.standing import StandingValues
from apps.access.services import cleaning as clean_ups
from apps.access.services import standing as answers
from apps.catalog import selectors as catalog
from apps.identity.acting import acting, acting_as, given


class Findings(APIView):
    @extend_schema(
        operation_id="findings_list",
        summary="What could be tidied up among the grants you may see, with counts",
        parameters=[schemas.FindingQuery],
        responses=schemas.UpkeepFindingPage,
        tags=["upkeep"],
    )
    def get(self, request: Request) -> Response:
        query, viewer = given(schemas.FindingQuery, request.query_params), acting(request)
        page = upkeep.list_findings(viewer=viewer, **query)
        counts = upkeep.count_findings(viewer=viewer, service=query["service"])
        safe = counts.pop("safe")
        as_of = upkeep.examined_since()
        return Response(
            schemas.UpkeepFindingPage(
                {"results": page.items, "after": page.after, "counts": counts, "safe": safe, "as_of": as_of}
            ).data
        )


class CleanUps(APIView):
    @extend_schema(
        operation_id="clean_ups_list",
        summary="Proposals to end grants, newest first",
        parameters=[schemas.CleanUpQuery],
        responses=schemas.CleanUpPage,
        tags=["upkeep"],
    )
    def get(self, request: Request) -> Response:
        query = given(schemas.CleanUpQuery, request.query_params)
        state = query.pop("state")
        page = cleaning.list_clean_ups(viewer=acting(request), states=[state] if state else [], **query)
        return Response(schemas.CleanUpPage({"results": page.items, "after": page.after}).data)

    @extend_schema(
        operation_id="clean_ups_create",
        summary="Propose to end grants of one service; somebody else decides",
        request=schemas.NewCleanUp,
        responses={201: schemas.CleanUpSchema},
        tags=["upkeep"],
    )
    def post(self, request: Request) -> Response:
        sent = given(schemas.NewCleanUp, request.data)
        actor = acting(request)
        made = clean_ups.propose_clean_up(
            grant_ids=sent["grants"],
            actor=actor,
            reason=sent["reason"],
            must_be_safe=sent["must_be_safe"],
            keep=sent["keep"],
            at=timezone.now(),
        )
        row = cleaning.get_clean_up(viewer=actor, public_id=made.public_id)
        return Response(schemas.CleanUpSchema(row).data, status=status.HTTP_201_CREATED)


class CleanUpDetail(APIView):
    @extend_schema(
        operation_id="clean_ups_retrieve", summary="One clean-up", responses=schemas.CleanUpSchema, tags=["upkeep"]
    )
    def get(self, request: Request, public_id: str) -> Response:
        row = cleaning.get_clean_up(viewer=acting(request), public_id=public_id)
        return Response(schemas.CleanUpSchema(row).data)


class CleanUpDecide(APIView):
    @extend_schema(
        operation_id="clean_ups_decide",
        summary="Agree to a clean-up, which ends its grants, or decline it",
        request=schemas.CleanUpAnswer,
        responses=schemas.CleanUpSchema,
        tags=["upkeep"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent, actor = given(schemas.CleanUpAnswer, request.data), acting(request)
        clean_ups.decide_clean_up(public_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(schemas.CleanUpSchema(cleaning.get_clean_up(viewer=actor, public_id=public_id)).data)


class CleanUpWithdraw(APIView):
    @extend_schema(
        operation_id="clean_ups_withdraw",
        summary="Take back a clean-up you proposed",
        request=None,
        responses=schemas.CleanUpSchema,
        tags=["upkeep"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        actor = acting(request)
        clean_ups.withdraw_clean_up(public_id=public_id, actor=actor, at=timezone.now())
        return Response(schemas.CleanUpSchema(cleaning.get_clean_up(viewer=actor, public_id=public_id)).data)


class StandingList(APIView):
    @extend_schema(
        operation_id="standing_list",
        summary="Standing access that is looked at again, with its last use",
        parameters=[schemas.StandingQuery],
        responses=schemas.StandingPage,
        tags=["upkeep"],
    )
    def get(self, request: Request) -> Response:
        query = given(schemas.StandingQuery, request.query_params)
        state = query.pop("state")
        page = standing.list_standing(viewer=acting(request), states=[state] if state else [], **query)
        return Response(schemas.StandingPage({"results": page.items, "after": page.after}).data)


class StandingAnswer(APIView):
    @extend_schema(
        operation_id="standing_answer",
        summary="Keep standing access, with a reason, or end it",
        request=schemas.StandingAnswerInput,
        responses=schemas.StandingSchema,
        tags=["upkeep"],
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent, actor = given(schemas.StandingAnswerInput, request.data), acting(request)
        answers.answer_standing(public_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(schemas.StandingSchema(standing.get_standing(viewer=actor, public_id=public_id)).data)


class StandingSchedule(APIView):
    @extend_schema(
        operation_id="standing_schedule_retrieve",
        summary="How often standing access is looked at again",
        responses=schemas.ScheduleSchema,
        tags=["upkeep"],
    )
    def get(self, request: Request) -> Response:
        return Response(_schedule())

    @extend_schema(
        operation_id="standing_schedule_replace",
        summary="Have standing access looked at more or less often",
        request=schemas.ScheduleInput,
        responses=schemas.ScheduleSchema,
        tags=["upkeep"],
    )
    def put(self, request: Request) -> Response:
        actor = acting_as(request, *GOVERNORS).actor
        sent = given(schemas.ScheduleInput, request.data)
        version = sent.pop("version")
        answers.save_standing_policy(values=StandingValues(**sent), version=version, actor=actor, at=timezone.now())
        return Response(_schedule())


def _schedule() -> dict[str, Any]:
    found = standing.get_schedule()
    document = {**asdict(found.values), "version": found.version, "watched_since": found.watched_since}
    return dict(schemas.ScheduleSchema(document).data)


class AccessMapView(APIView):
    @extend_schema(
        operation_id="map_list",
        summary="What edge and mesh let each team do with each service, and where they differ",
        parameters=[schemas.MapQuery],
        responses=schemas.MapPage,
        tags=["upkeep"],
    )
    def get(self, request: Request) -> Response:
        acting(request)
        query = given(schemas.MapQuery, request.query_params)
        found = access_map(at=timezone.now(), query=query.pop("q"), **query)
        rows = [
            {"service": row.service.slug, "title": row.service.title, "routes": row.routes, "cells": _cells(row)}
            for row in found.rows
        ]
        return Response(schemas.MapPage({"results": rows, "after": found.after}).data)


def _cells(row: Any) -> list[Any]:
    return [cell for cell in (*row.cells, *row.others) if cell.held]


class AccessMapDetail(APIView):
    @extend_schema(
        operation_id="map_retrieve",
        summary="Who holds what of one service at each door, and what is missing where they differ",
        responses=schemas.MapServiceSchema,
        tags=["upkeep"],
    )
    def get(self, request: Request, slug: str) -> Response:
        acting(request)
        service = catalog.get_service(slug)
        page = catalog.list_shapes(slugs=[service.slug], limit=1)
        cells = service_map(page.items[0][1], timezone.now()).cells if page.items else ()
        held: dict[str, Any] = {}
        for cell in cells:
            for one in cell.held:
                held.setdefault(one.subject, {"held": one, "teams": []})["teams"].append(cell.team)
        return Response(
            schemas.MapServiceSchema({"service": slug, "results": [held[key] for key in sorted(held)]}).data
        )
