"""Clusters over the REST API: made known, reached, set, and agreed to. What is secret goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given
from apps.rollout import tasks
from apps.rollout.api import TargetSchema
from apps.rollout.cluster.facts import facts_of, manifest_of
from apps.rollout.cluster.leave_views import BACK, FORGET
from apps.rollout.cluster.settings import ACCESS_CONTROL, DEFAULTS, MTLS, settings_of
from apps.rollout.cluster.views import cluster_target
from apps.rollout.models import DriverName, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.cluster import closing, leaving
from apps.rollout.services.cluster import connecting as cluster_connecting
from apps.rollout.services.cluster import objects as cluster_objects
from apps.rollout.services.cluster.connecting import AGENT, IN_CLUSTER, KUBECONFIG, LARGEST_FILE, TOKEN, Way
from apps.rollout.services.targets import TargetSpec, get_target


class WayInput(serializers.Serializer[Any]):
    by = serializers.ChoiceField(choices=[KUBECONFIG, TOKEN, IN_CLUSTER, AGENT])
    kubeconfig = serializers.CharField(
        required=False, default="", write_only=True, allow_blank=True, max_length=LARGEST_FILE, trim_whitespace=False
    )
    context = serializers.CharField(  # type: ignore[assignment]  # kubeconfig's own word, and Serializer's too
        required=False, default="", allow_blank=True, max_length=200
    )
    server = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)
    token = serializers.CharField(required=False, default="", write_only=True, allow_blank=True, max_length=16_384)
    ca = serializers.CharField(required=False, default="", allow_blank=True, max_length=65_536)


class SettingsInput(serializers.Serializer[Any]):
    namespaces = serializers.ListField(child=serializers.CharField(max_length=63), max_length=100)
    emitters = serializers.ListField(child=serializers.CharField(max_length=20), max_length=10)
    access_control = serializers.ChoiceField(choices=ACCESS_CONTROL, required=False, default="allow")
    mtls = serializers.ChoiceField(choices=MTLS, required=False, default="permissive")
    plus = serializers.BooleanField(required=False, default=False)
    verifier = serializers.CharField(required=False, default="", allow_blank=True, max_length=140)
    gateway = serializers.CharField(required=False, default="", allow_blank=True, max_length=320)
    ingress_class = serializers.CharField(required=False, default="nginx", allow_blank=True, max_length=63)
    tls_secret = serializers.CharField(required=False, default="", allow_blank=True, max_length=253)
    client_ca_secret = serializers.CharField(required=False, default="", allow_blank=True, max_length=253)
    ingress = serializers.CharField(required=False, default=DEFAULTS.ingress, max_length=320)
    verifier_image = serializers.CharField(required=False, default=DEFAULTS.verifier_image, max_length=255)
    upstream_tls_secret = serializers.CharField(required=False, default="", allow_blank=True, max_length=253)
    upstream_ca_secret = serializers.CharField(required=False, default="", allow_blank=True, max_length=253)
    isolated = serializers.ListField(child=serializers.CharField(max_length=63), required=False, default=list)
    direct = serializers.ListField(child=serializers.CharField(max_length=63), required=False, default=list)
    edge = serializers.CharField(required=False, default="", allow_blank=True, max_length=63)


class NewClusterInput(serializers.Serializer[Any]):
    slug = serializers.SlugField(max_length=63)
    name = serializers.CharField(max_length=100)
    environment = serializers.CharField(required=False, default="", allow_blank=True, max_length=63)
    settings = SettingsInput()
    way = WayInput()


class ChangeInput(serializers.Serializer[Any]):
    settings = SettingsInput(required=False, help_text="What is compiled for it; all of it")
    way = WayInput(required=False, help_text="Another way to reach it, tried before it is kept")


class ConflictSchema(serializers.Serializer[Any]):
    path = serializers.CharField()
    managers = serializers.CharField(help_text="Send it back to take the object over")
    fields_set = serializers.CharField(source="fields")


class ClusterSchema(serializers.Serializer[Any]):
    slug = serializers.CharField()
    server = serializers.CharField()
    reached = serializers.CharField(help_text="In words")
    settings = SettingsInput()
    conflicts = ConflictSchema(many=True)
    watched = serializers.BooleanField(help_text="Whether what somebody changes there is seen at once")
    end_of_sale = serializers.CharField(help_text="Empty unless what it enforces with is no longer sold")
    manifest = serializers.CharField(help_text="The least the cluster has to grant, as YAML")


class ClosingSchema(serializers.Serializer[Any]):
    service = serializers.CharField()
    paths = serializers.ListField(child=serializers.CharField())
    sentences = serializers.ListField(child=serializers.CharField(), help_text="What there is to know")
    allowed = serializers.ListField(child=serializers.CharField(), help_text="Who may call it then")
    more = serializers.IntegerField(help_text="So many more than are named")


class ClosingPage(serializers.Serializer[Any]):
    results = ClosingSchema(many=True)


class AgreeInput(serializers.Serializer[Any]):
    services = serializers.ListField(child=serializers.CharField(max_length=63), min_length=1, max_length=100)


class TakeOverInput(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=400)
    managers = serializers.CharField(max_length=2000)


class LeavingInput(serializers.Serializer[Any]):
    act = serializers.ChoiceField(
        choices=["take_out", BACK, FORGET],
        help_text="take_out it; back: set it up again; forget: it is no more, so do not wait for it",
    )
    revision = serializers.IntegerField(
        required=False, default=-1, help_text="With take_out: the one whose plan you looked at"
    )


class GoingObjectsSchema(serializers.Serializer[Any]):
    kind = serializers.CharField()
    count = serializers.IntegerField()


class FateSchema(serializers.Serializer[Any]):
    service = serializers.CharField()
    opens = serializers.BooleanField(help_text="Whether calls go through then that are refused now")
    sentence = serializers.CharField()


class GoingSchema(serializers.Serializer[Any]):
    revision = serializers.IntegerField(help_text="Send it back to have this taken out")
    state = serializers.ChoiceField(choices=["kept", "leaving", "removed"])
    left_at = serializers.DateTimeField(allow_null=True)
    objects = GoingObjectsSchema(many=True)
    services = FateSchema(many=True)


def _going(target: Target) -> dict[str, object]:
    found = leaving.going(target)
    return {
        "revision": found.number,
        "state": "leaving" if target.is_leaving else "removed" if target.is_removed else "kept",
        "left_at": target.facts.get(leaving.LEFT),
        "objects": [{"kind": kind, "count": many} for kind, many in found.objects],
        "services": found.fates,
    }


def _way(given_way: dict[str, Any]) -> Way:
    return Way(**{("ca_pem" if name == "ca" else name): value for name, value in given_way.items()})


def _cluster(target: Target) -> dict[str, object]:
    facts = {**facts_of(target), "watched": target.is_watched(timezone.now())}
    return {**facts, "slug": target.slug, "settings": settings_of(target.config), "manifest": manifest_of(target)}


class ClusterList(APIView):
    @extend_schema(
        operation_id="clusters_add",
        summary="Make a Kubernetes cluster a target; it is tried first",
        request=NewClusterInput,
        responses={201: TargetSchema},
    )
    @sensitive_variables()
    def post(self, request: Request) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(NewClusterInput, request.data)
        spec = TargetSpec(
            slug=wish["slug"],
            name=wish["name"],
            driver=DriverName.KUBERNETES,
            config=settings_of(wish["settings"]).config,
            environment=wish["environment"] or None,
        )
        target = cluster_connecting.add(spec=spec, way=_way(wish["way"]), actor=actor, at=timezone.now())
        tasks.poke([target.slug])
        return Response(TargetSchema(target).data, status=201)


class ClusterDetail(APIView):
    @extend_schema(
        operation_id="cluster_read",
        summary="How a cluster is reached, what it takes, and who else manages objects of ours",
        responses=ClusterSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(ClusterSchema(_cluster(cluster_target(slug))).data)

    @extend_schema(
        operation_id="cluster_change",
        summary="Change what is compiled for a cluster, or how it is reached",
        request=ChangeInput,
        responses=ClusterSchema,
    )
    @sensitive_variables()
    def post(self, request: Request, slug: str) -> Response:
        actor, wish, at = acting_as(request, *KEEPERS).actor, given(ChangeInput, request.data), timezone.now()
        cluster_target(slug)
        if "way" in wish:
            cluster_connecting.connect(slug=slug, way=_way(wish["way"]), actor=actor, at=at)
        if "settings" in wish:
            chosen = settings_of(wish["settings"])
            cluster_connecting.change_settings(slug=slug, chosen=chosen, actor=actor, at=at)
        tasks.poke([slug])
        return Response(ClusterSchema(_cluster(cluster_target(slug))).data)


class ClusterClosings(APIView):
    @extend_schema(
        operation_id="cluster_closings_list",
        summary="Services whose first objects would close them to everybody they do not name",
        responses=ClosingPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(ClosingPage({"results": closing.closings(cluster_target(slug))}).data)

    @extend_schema(
        operation_id="cluster_closings_agree",
        summary="Agree that these services are closed in the cluster; only a person can",
        request=AgreeInput,
        responses=ClosingPage,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(AgreeInput, request.data)
        cluster_target(slug)
        target = closing.agree(slug=slug, services=wish["services"], actor=actor, at=timezone.now())
        tasks.poke([slug])
        return Response(ClosingPage({"results": closing.closings(target)}).data)


class ClusterTakeOver(APIView):
    @extend_schema(
        operation_id="cluster_take_over",
        summary="Set our fields of one object once, although somebody else manages them; only a person can",
        request=TakeOverInput,
        responses=ClusterSchema,
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish = acting_as(request, *KEEPERS).actor, given(TakeOverInput, request.data)
        cluster_target(slug)
        cluster_objects.take_over(slug=slug, **wish, actor=actor, at=timezone.now())
        tasks.poke([slug])
        return Response(ClusterSchema(_cluster(get_target(slug))).data)


class ClusterTakeOut(APIView):
    @extend_schema(
        operation_id="cluster_take_out_read",
        summary="What taking a cluster out would remove, and what that does to calls; or how far it is",
        responses=GoingSchema,
    )
    def get(self, request: Request, slug: str) -> Response:
        acting_as(request, *WATCHERS)
        return Response(GoingSchema(_going(cluster_target(slug))).data)

    @extend_schema(
        operation_id="cluster_take_out",
        summary="Take a cluster out, set it up again, or stop waiting for one that is no more; only a person can",
        request=LeavingInput,
        responses={202: GoingSchema},
    )
    def post(self, request: Request, slug: str) -> Response:
        actor, wish, at = acting_as(request, *KEEPERS).actor, given(LeavingInput, request.data), timezone.now()
        cluster_target(slug)
        if wish["act"] == BACK:
            leaving.back(slug=slug, actor=actor, at=at)
        elif wish["act"] == FORGET:
            leaving.forget(slug=slug, actor=actor, at=at)
        else:
            leaving.ask(slug=slug, number=wish["revision"], actor=actor, at=at)
        tasks.poke([slug])
        return Response(GoingSchema(_going(cluster_target(slug))).data, status=202)
