"""Targets and how they get where they should be, over the REST API. For those who watch over the estate."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.identity.acting import acting_as, given, page_of
from apps.rollout import tasks
from apps.rollout.models import (
    Activation,
    Delivery,
    Drift,
    DriverName,
    Expect,
    Node,
    Point,
    Probe,
    Production,
    Revision,
    Target,
)
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services import dismissing, drifting, troubles, undoing
from apps.rollout.services.driving import is_live
from apps.rollout.services.targets import get_target
from apps.rollout.states import ActivationState, ProbeState

LIMIT = 50


class TargetSchema(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    driver = serializers.ChoiceField(choices=DriverName.choices)
    point = serializers.ChoiceField(choices=Point.choices)
    environment = serializers.CharField(source="environment.slug")
    latest_revision = serializers.IntegerField(source="latest_number")
    active_revision = serializers.IntegerField(source="active_number")
    error = serializers.CharField()
    trouble = serializers.CharField(help_text="The error's name in the reference of errors at Akamai, if it has one")
    said = serializers.SerializerMethodField(help_text="What happened, what is done now, what you can do")
    waiting_for = serializers.CharField()
    retry_at = serializers.DateTimeField(allow_null=True)
    delivery = serializers.ChoiceField(choices=Delivery.choices, help_text="Who brings it to the vendor")
    production = serializers.ChoiceField(choices=Production.choices)
    to_approve = serializers.CharField(help_text="The code version that waits for an operator, if one does")

    def get_said(self, target: Target) -> str:
        trouble = troubles.catalogue_of(target).get(target.trouble)
        return trouble.sentence if trouble else ""


class RevisionSchema(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    digest = serializers.CharField()
    summary = serializers.CharField()
    causes = serializers.JSONField()
    rehearsed = serializers.IntegerField(help_text="Trials the compiled policy passed before it left")
    created_at = serializers.DateTimeField()


class ActivationSchema(serializers.Serializer[Any]):
    revision = serializers.IntegerField(source="revision.number")
    state = serializers.ChoiceField(choices=ActivationState.choices)
    events = serializers.JSONField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    applied_at = serializers.DateTimeField(allow_null=True)
    proven_at = serializers.DateTimeField(allow_null=True)


class NodeSchema(serializers.Serializer[Any]):
    name = serializers.CharField()
    online = serializers.SerializerMethodField()
    enrolled_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    active_revision = serializers.IntegerField(source="active_number")
    account = serializers.CharField(help_text="The service account whose tokens it shows; empty: it has one of ours")
    error = serializers.CharField()

    def get_online(self, node: Node) -> bool:
        return is_live(node, self.context["at"])


class ProbeSchema(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    revision = serializers.IntegerField(source="activation.revision.number")
    grant = serializers.CharField(source="grant_id")
    point = serializers.ChoiceField(choices=Point.choices)
    expect = serializers.ChoiceField(choices=Expect.choices)
    stranger = serializers.CharField(help_text="A workload nobody let in, which has to be refused; empty for a holder")
    state = serializers.ChoiceField(choices=ProbeState.choices)
    verdict = serializers.CharField()
    reason = serializers.CharField()
    detail = serializers.CharField()
    attempts = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    passed_at = serializers.DateTimeField(allow_null=True)


class DriftSchema(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    path = serializers.CharField()
    expected = serializers.CharField()
    observed = serializers.CharField()
    detail = serializers.CharField()
    diff = serializers.CharField()
    opens = serializers.BooleanField(help_text="calls may pass unchecked")
    why_not = serializers.CharField(help_text="why it cannot be adopted; empty when it can")
    found_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    resolution = serializers.CharField()


class TargetPage(serializers.Serializer[Any]):
    results = TargetSchema(many=True)


class RevisionPage(serializers.Serializer[Any]):
    results = RevisionSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class ActivationPage(serializers.Serializer[Any]):
    results = ActivationSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class NodePage(serializers.Serializer[Any]):
    results = NodeSchema(many=True)


class ProbePage(serializers.Serializer[Any]):
    results = ProbeSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class DriftPage(serializers.Serializer[Any]):
    results = DriftSchema(many=True)


class AfterQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, default=2**62, min_value=1, max_value=2**62)


class ProbeQuery(AfterQuery):
    grant = serializers.CharField(required=False, default="", max_length=32)


class TargetList(APIView):
    @extend_schema(operation_id="targets_list", summary="Where access is enforced", responses=TargetPage)
    def get(self, request: Request) -> Response:
        acting_as(request, *WATCHERS)
        rows = Target.objects.select_related("environment").defer("facts", "secret_sealed").order_by("slug")
        return Response(TargetPage({"results": rows}).data)


class RevisionList(APIView):
    @extend_schema(
        operation_id="revisions_list",
        summary="What a target should hold, newest first",
        parameters=[AfterQuery],
        responses=RevisionPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        target, after = _target(request, slug), given(AfterQuery, request.query_params)["after"]
        found = Revision.objects.filter(target=target, number__lt=after).order_by("-number")
        return Response(RevisionPage(page_of(found, by="number", limit=LIMIT)).data)


class RevisionRollBack(APIView):
    @extend_schema(
        operation_id="revisions_roll_back",
        summary="Take back the code of an older revision; today's grants stay",
        request=None,
        responses=RevisionSchema,
    )
    def post(self, request: Request, slug: str, number: int) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        made = undoing.roll_back_code(slug=slug, number=number, actor=actor, at=timezone.now())
        tasks.poke([slug])
        return Response(RevisionSchema(made).data)


class ActivationList(APIView):
    @extend_schema(
        operation_id="activations_list",
        summary="How a target got there, newest first",
        parameters=[AfterQuery],
        responses=ActivationPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        target, after = _target(request, slug), given(AfterQuery, request.query_params)["after"]
        found = Activation.objects.filter(target=target, pk__lt=after).select_related("revision")
        return Response(ActivationPage(page_of(found.order_by("-pk"), by="pk", limit=LIMIT)).data)


class NodeList(APIView):
    @extend_schema(
        operation_id="nodes_list",
        summary="The machines of a mesh target, and what each runs",
        responses=NodePage,
    )
    def get(self, request: Request, slug: str) -> Response:
        rows = Node.objects.filter(target=_target(request, slug)).order_by("name")
        return Response(NodePage({"results": rows}, context={"at": timezone.now()}).data)


class NodeRemove(APIView):
    @extend_schema(
        operation_id="node_remove",
        summary="Forget a node that was lost or taken away: its token opens nothing any more",
        request=None,
        responses=NodePage,
    )
    def post(self, request: Request, slug: str, name: str) -> Response:
        actor, at = acting_as(request, *KEEPERS).actor, timezone.now()
        dismissing.remove_node(target_slug=slug, name=name, actor=actor, at=at)
        tasks.poke_due(at)
        rows = Node.objects.filter(target__slug=slug).order_by("name")
        return Response(NodePage({"results": rows}, context={"at": at}).data)


class ProbeList(APIView):
    @extend_schema(
        operation_id="probes_list",
        summary="What was asked of a target's door about grants, and what it said; newest first",
        parameters=[ProbeQuery],
        responses=ProbePage,
    )
    def get(self, request: Request, slug: str) -> Response:
        target, query = _target(request, slug), given(ProbeQuery, request.query_params)
        found = Probe.objects.filter(target=target, pk__lt=query["after"]).select_related("activation__revision")
        if query["grant"]:
            found = found.filter(grant_id=query["grant"])
        return Response(ProbePage(page_of(found.order_by("-pk"), by="pk", limit=LIMIT)).data)


class DriftList(APIView):
    @extend_schema(
        operation_id="drift_list",
        summary="Where a target was seen to hold something else than it should",
        responses=DriftPage,
    )
    def get(self, request: Request, slug: str) -> Response:
        rows = Drift.objects.filter(target=_target(request, slug), resolved_at=None).order_by("path")
        return Response(DriftPage({"results": rows}).data)


class DriftPutBack(APIView):
    @extend_schema(
        operation_id="drift_put_back",
        summary="Have the target hold again what it should",
        request=None,
        responses=TargetSchema,
    )
    def post(self, request: Request, drift_id: int) -> Response:
        actor = acting_as(request, *KEEPERS).actor
        target = drifting.put_back(drift_id=drift_id, actor=actor, at=timezone.now())
        tasks.poke([target.slug])
        return Response(TargetSchema(target).data)


def _target(request: Request, slug: str) -> Target:
    acting_as(request, *WATCHERS)
    return get_target(slug)
