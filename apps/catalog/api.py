"""The catalogue over the REST API: the same selectors and services as the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import IO, Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.catalog import policies, selectors, services
from apps.catalog.errors import ImportRefused
from apps.catalog.imports.plan import ChangeKind
from apps.catalog.models import Door, Sensitivity, Service, Spoken
from apps.identity.acting import acting, given

YAML = ("application/yaml", "text/yaml")
CHANGE_KINDS = [(kind.value, kind.value) for kind in ChangeKind]


class RouteSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    methods = serializers.ListField(child=serializers.CharField())
    template = serializers.CharField()
    summary = serializers.CharField()


class ExposureSerializer(serializers.Serializer[Any]):
    environment = serializers.CharField(source="environment.slug")
    point = serializers.ChoiceField(choices=Door.choices)
    host = serializers.CharField()
    base_path = serializers.CharField()
    namespace = serializers.CharField()
    workload = serializers.CharField(source="workload.key", allow_null=True, default=None)
    port = serializers.IntegerField(allow_null=True, help_text="The sidecar's; null for plain TCP, which has none")
    upstream_port = serializers.IntegerField(allow_null=True, help_text="The application's own")
    protocol = serializers.ChoiceField(choices=Spoken.choices)
    variants = serializers.ListField(
        child=serializers.CharField(),
        help_text="Other versions behind the same sidecar, each as name:port, or as name:port@origin",
    )


class ServiceSerializer(serializers.Serializer[Any]):
    slug = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    team = serializers.CharField(source="team.key")
    sensitivity = serializers.ChoiceField(choices=Sensitivity.choices)
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
    sensitivity = serializers.ChoiceField(choices=Sensitivity.choices, required=False, default="")
    retired = serializers.BooleanField(required=False, default=False, help_text="Those retired instead of those living")
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
        page = selectors.list_services(**given(ServiceQuerySerializer, request.query_params))
        return Response(ServicePageSerializer({"results": page.items, "after": page.after}).data)


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


class CatalogueText(BaseParser):
    """The file itself as the body; what else there is to say stands in the address."""

    media_type = YAML[0]

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            return {"text": (parser_context or {})["request"].body.decode("utf-8-sig")}
        except UnicodeDecodeError as error:
            raise ParseError("The file is not UTF-8 text, so it is no catalogue.") from error


class CatalogueTextPlain(CatalogueText):
    media_type = YAML[1]


class ImportQuery(serializers.Serializer[Any]):
    file = serializers.CharField(required=False, default="api", max_length=200, help_text="What the file is called")
    dry_run = serializers.BooleanField(required=False, default=False, help_text="Say what would change, change nothing")
    retire = serializers.BooleanField(
        required=False, default=False, help_text="Retire what this source named before and no longer names"
    )


class ImportInput(ImportQuery):
    text = serializers.CharField(trim_whitespace=False, help_text="Backstage entities, as YAML documents")


class ChangeSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=CHANGE_KINDS)
    ref = serializers.CharField()
    sentence = serializers.CharField()


class ImportSerializer(serializers.Serializer[Any]):
    file = serializers.CharField(source="source")
    dry_run = serializers.BooleanField()
    changes = ChangeSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    unchanged = serializers.IntegerField()


class ImportRunSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    file = serializers.CharField(source="source")
    actor_id = serializers.CharField()
    actor_name = serializers.CharField()
    at = serializers.DateTimeField()
    changes = ChangeSerializer(many=True)


class ImportRunList(serializers.Serializer[Any]):
    results = ImportRunSerializer(many=True)


class Imports(APIView):
    parser_classes = [*APIView.parser_classes, CatalogueText, CatalogueTextPlain]

    @extend_schema(
        operation_id="imports_list", summary="The latest imports", responses=ImportRunList, tags=["catalogue"]
    )
    def get(self, request: Request) -> Response:
        policies.require_can_import(acting(request).actor)
        return Response(ImportRunList({"results": selectors.list_import_runs()}).data)

    @extend_schema(
        operation_id="imports_create",
        summary="Import a catalogue file: all of it or nothing",
        description="As JSON, or the file itself as the body with the other inputs in the address.",
        parameters=[ImportQuery],
        request={"application/json": ImportInput, **dict.fromkeys(YAML, OpenApiTypes.STR)},
        responses=ImportSerializer,
        tags=["catalogue"],
    )
    def post(self, request: Request) -> Response:
        actor = acting(request).actor
        policies.require_can_import(actor)
        body = request.data if isinstance(request.data, dict) else {}
        asked = given(ImportInput, {**request.query_params.dict(), **body})
        result = services.import_catalog(actor=actor, source=asked.pop("file"), at=timezone.now(), **asked)
        if not result.ok:
            raise ImportRefused(extra={"problems": [asdict(problem) for problem in result.errors]})
        return Response(ImportSerializer(result).data)
