"""Zones, and services that are to go, over the REST API."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access.policies import GOVERNORS
from apps.catalog import selectors as catalog
from apps.firewall import api_schemas as schemas
from apps.firewall import policies, selectors, services
from apps.firewall.models import Zone
from apps.firewall.zoning import Matrix
from apps.identity.acting import acting, acting_as, given
from apps.identity.models import Scope


class Zones(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="firewall_zones_list",
        summary="The zones, and which of them may reach which",
        responses=schemas.MatrixSchema,
    )
    def get(self, request: Request) -> Response:
        return Response(_matrix(selectors.get_matrix()))


class ZoneCells(APIView):
    @extend_schema(
        operation_id="firewall_zones_cell",
        summary="Say whether what is in one zone may be let into another",
        request=schemas.CellInput,
        responses=schemas.MatrixSchema,
    )
    def post(self, request: Request) -> Response:
        actor = acting_as(request, *GOVERNORS)
        services.set_cell(**given(schemas.CellInput, request.data), actor=actor.actor, at=timezone.now())
        return Response(_matrix(selectors.get_matrix()))


class ZoneDetail(APIView):
    @extend_schema(
        operation_id="firewall_zones_set",
        summary="Make a zone, or have it hold this",
        request=schemas.ZoneInput,
        responses=schemas.ZoneSchema,
    )
    def put(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *GOVERNORS)
        sent = given(schemas.ZoneInput, request.data)
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()
        }
        made = services.set_zone(slug=slug, values=services.ZoneValues(**values), actor=actor.actor, at=timezone.now())
        return Response(schemas.ZoneSchema(made).data)

    @extend_schema(
        operation_id="firewall_zones_remove",
        summary="Remove a zone with its row and its column",
        responses={200: schemas.MatrixSchema},
    )
    def delete(self, request: Request, slug: str) -> Response:
        actor = acting_as(request, *GOVERNORS)
        services.remove_zone(slug=slug, actor=actor.actor, at=timezone.now())
        return Response(_matrix(selectors.get_matrix()))


class DecommissionDetail(APIView):
    @extend_schema(
        operation_id="firewall_decommissions_retrieve",
        summary="Everything that names a service, and whether somebody proposed to end it",
        responses=schemas.DecommissionSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(_decommission(request, slug))

    @extend_schema(
        operation_id="firewall_decommissions_propose",
        summary="Propose to end everything that names a service",
        request=schemas.DecommissionInput,
        responses={201: schemas.DecommissionSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        sent = given(schemas.DecommissionInput, request.data)
        services.propose_end(slug=slug, reason=sent["reason"], actor=acting(request), at=timezone.now())
        return Response(_decommission(request, slug), status=status.HTTP_201_CREATED)


class DecommissionDecide(APIView):
    @extend_schema(
        operation_id="firewall_decommissions_decide",
        summary="Approve, and end all of it, or deny",
        request=schemas.OutcomeInput,
        responses=schemas.DecommissionSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        sent = given(schemas.OutcomeInput, request.data)
        services.decide_end(slug=slug, outcome=sent["outcome"], actor=acting(request), at=timezone.now())
        return Response(_decommission(request, slug))


def _matrix(matrix: Matrix) -> dict[str, Any]:
    zones = Zone.objects.order_by("name", "slug")
    cells = [{**cell.as_json()} for _, row in matrix.rows() for _, cell in row]
    return dict(schemas.MatrixSchema({"zones": zones, "cells": cells}).data)


def _decommission(request: Request, slug: str) -> dict[str, Any]:
    service = catalog.get_service(slug)
    policies.require_can_see_end(acting(request), service)
    row = selectors.find_decommission(service)
    document = {
        "service": service.slug,
        "retired": service.retired_at is not None,
        "named": [] if service.retired_at else [one.as_json() for one in selectors.list_named(service)],
        "proposed_by": row.asker if row is not None else None,
        "reason": row.reason if row is not None else "",
        "outcome": row.outcome if row is not None else "",
    }
    return dict(schemas.DecommissionSchema(document).data)
