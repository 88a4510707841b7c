"""The catalogue over the REST API: the same selectors and services as the pages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog import selectors
from apps.catalog.models import Exposure, Route, Service


class RouteSerializer(serializers.Serializer[Route]):
    key = serializers.CharField()
    methods = serializers.ListField(child=serializers.CharField())
    template = serializers.CharField()
    summary = serializers.CharField()


class ExposureSerializer(serializers.Serializer[Exposure]):
    environment = serializers.CharField(source="environment.slug")
    point = serializers.ChoiceField(choices=["edge", "mesh"])
    host = serializers.CharField()
    base_path = serializers.CharField()
    namespace = serializers.CharField()
    workload = serializers.CharField(source="workload.key", allow_null=True, default=None)
    port = serializers.IntegerField(allow_null=True)


class ServiceSerializer(serializers.Serializer[Service]):
    slug = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    team = serializers.CharField(source="team.key")
    sensitivity = serializers.CharField()
    danger_note = serializers.CharField()
    max_duration = serializers.IntegerField(help_text="Seconds")
    retired = serializers.SerializerMethodField()

    def get_retired(self, service: Service) -> bool:
        return service.retired_at is not None


class ServiceDetailSerializer(ServiceSerializer):
    routes = serializers.SerializerMethodField()
    exposures = serializers.SerializerMethodField()

    @extend_schema_field(RouteSerializer(many=True))
    def get_routes(self, service: Service) -> list[dict[str, Any]]:
        return list(RouteSerializer(selectors.list_routes(service), many=True).data)

    @extend_schema_field(ExposureSerializer(many=True))
    def get_exposures(self, service: Service) -> list[dict[str, Any]]:
        return list(ExposureSerializer(selectors.list_exposures(service), many=True).data)


class ServicePageSerializer(serializers.Serializer[Any]):
    results = ServiceSerializer(many=True)
    after = serializers.CharField(allow_null=True, help_text="Pass it back as `after` for the next page")


class ServiceQuerySerializer(serializers.Serializer[Any]):
    query = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    team = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)
    after = serializers.CharField(required=False, default="", allow_blank=True, max_length=63)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ServiceList(APIView):
    @extend_schema(
        operation_id="services_list",
        summary="Services, by slug",
        parameters=[ServiceQuerySerializer],
        responses=ServicePageSerializer,
        tags=["catalogue"],
    )
    def get(self, request: Request) -> Response:
        query = ServiceQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = selectors.list_services(**query.validated_data)
        return Response({"results": ServiceSerializer(page.items, many=True).data, "after": page.after})


class ServiceDetail(APIView):
    @extend_schema(
        operation_id="services_retrieve",
        summary="One service with its routes and where it answers",
        parameters=[OpenApiParameter("slug", str, OpenApiParameter.PATH)],
        responses=ServiceDetailSerializer,
        tags=["catalogue"],
    )
    def get(self, request: Request, slug: str) -> Response:
        return Response(ServiceDetailSerializer(selectors.get_service(slug)).data)
