"""Old rule bases over the REST API: the same services, rules and refusals as the pages."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.access.api_schemas import PersonSchema
from apps.firewall.lines import Action, Direction
from apps.firewall.models import CleaningOutcome, RuleBase
from apps.firewall.models.rule_bases import CODES, FORMATS, SEMANTICS
from apps.firewall.rulebase.reading import MAX_CHARACTERS
from apps.firewall.selectors import rule_bases as selectors
from apps.firewall.services import cleaning, rule_bases
from apps.firewall.services.deleting import delete_rule_base
from apps.identity.acting import acting, given
from apps.identity.models import Scope

LARGEST_ID = 2**63 - 1
LARGEST_NUMBER = 2**31 - 1


class RuleBaseInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    text = serializers.CharField(max_length=MAX_CHARACTERS, trim_whitespace=False, help_text="As it was exported")
    format = serializers.ChoiceField(
        choices=FORMATS, required=False, allow_blank=True, default="", help_text="Left out, it is found out"
    )
    semantics = serializers.ChoiceField(
        choices=SEMANTICS,
        required=False,
        allow_blank=True,
        default="",
        help_text="Left out, it follows from the format",
    )
    team = serializers.CharField(
        max_length=300,
        required=False,
        allow_blank=True,
        default="",
        help_text="The key of the team that answers for it",
    )


class AfterQuery(serializers.Serializer[Any]):
    after = serializers.IntegerField(required=False, min_value=0, max_value=LARGEST_ID)


class FindingQuery(AfterQuery):
    code = serializers.ChoiceField(choices=CODES, required=False, allow_blank=True, default="")


class LineQuery(AfterQuery):
    q = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class RemarkSchema(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="0 is the text as a whole")
    sentence = serializers.CharField()


class DeleteInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, help_text="Its name, so that it is the one that is meant")


class RuleBaseSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    format = serializers.ChoiceField(choices=FORMATS)
    semantics = serializers.ChoiceField(choices=SEMANTICS)
    team = serializers.CharField(source="team.key", default=None, allow_null=True)
    taken_by = PersonSchema()
    taken_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True, help_text="Null while it is being read")
    progress = serializers.IntegerField(help_text="Percent")
    lines = serializers.IntegerField(source="line_count")
    rules = serializers.IntegerField(source="rule_count")


class RuleBaseDetailSchema(RuleBaseSchema):
    problems = RemarkSchema(many=True, help_text="With any, nothing of it was kept but the text")
    notes = RemarkSchema(many=True, help_text="What was left aside")
    undecided = serializers.ListField(child=serializers.IntegerField(), help_text="Lines nothing is said about")
    findings = serializers.SerializerMethodField(help_text="How many of each code")

    def get_findings(self, base: RuleBase) -> dict[str, int]:
        return selectors.count_findings(base)


class RuleBasePage(serializers.Serializer[Any]):
    results = RuleBaseSchema(many=True)
    after = serializers.IntegerField(allow_null=True)


class RuleBaseFindingSchema(serializers.Serializer[Any]):
    code = serializers.ChoiceField(choices=CODES)
    line = serializers.IntegerField(source="number")
    involved = serializers.ListField(child=serializers.IntegerField())
    sentence = serializers.CharField()


class RuleBaseFindingPage(serializers.Serializer[Any]):
    results = RuleBaseFindingSchema(many=True)
    after = serializers.IntegerField(allow_null=True)


class RuleBaseLineSchema(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    text = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name
    destination = serializers.CharField()
    protocol = serializers.CharField()
    ports = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    direction = serializers.ChoiceField(choices=[one.value for one in Direction])
    action = serializers.ChoiceField(choices=[one.value for one in Action])
    reason = serializers.CharField()
    until = serializers.DateField(allow_null=True)
    hits = serializers.IntegerField(allow_null=True)
    conditions = serializers.ListField(child=serializers.CharField())


class RuleBaseLinePage(serializers.Serializer[Any]):
    results = RuleBaseLineSchema(many=True)
    after = serializers.IntegerField(allow_null=True)


class CleaningInput(serializers.Serializer[Any]):
    codes = serializers.ListField(
        child=serializers.CharField(max_length=20), required=False, default=list, max_length=20
    )
    numbers = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=LARGEST_NUMBER),
        required=False,
        default=list,
        max_length=5_000,
        help_text="Lines instead of codes",
    )
    reason = serializers.CharField(max_length=cleaning.MOST_WORDS)


class DecisionInput(serializers.Serializer[Any]):
    approve = serializers.BooleanField()
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=cleaning.MOST_WORDS)


class CleaningSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    rule_base = serializers.CharField(source="base.public_id")
    asked_by = PersonSchema()
    reason = serializers.CharField()
    dropped = serializers.ListField(child=serializers.IntegerField())
    proven_at = serializers.DateTimeField(allow_null=True, help_text="Null while it is being worked out")
    equivalent = serializers.BooleanField(source="is_equivalent", help_text="Proven: no packet is decided otherwise")
    differences = serializers.ListField(child=serializers.CharField())
    unproven = serializers.ListField(child=serializers.IntegerField())
    outcome = serializers.ChoiceField(choices=CleaningOutcome.choices, allow_blank=True)
    decided_by = PersonSchema(allow_null=True)
    comment = serializers.CharField()
    text = serializers.SerializerMethodField(help_text="The cleaned text, once somebody else approved it")

    def get_text(self, found: Any) -> str | None:
        return found.text if found.outcome == CleaningOutcome.APPROVED else None


class RuleBases(APIView):
    @extend_schema(
        operation_id="rule_bases_list",
        summary="Rule bases you may see, newest first",
        parameters=[AfterQuery],
        responses=RuleBasePage,
    )
    def get(self, request: Request) -> Response:
        query = given(AfterQuery, request.query_params)
        page = selectors.list_visible_bases(viewer=acting(request), **query)
        return Response(RuleBasePage({"results": page.items, "after": page.after}).data)

    @extend_schema(
        operation_id="rule_bases_take",
        summary="Take in the rule base of an old firewall and have it looked through; nothing is opened",
        request=RuleBaseInput,
        responses={201: RuleBaseDetailSchema},
    )
    def post(self, request: Request) -> Response:
        sent, actor = given(RuleBaseInput, request.data), acting(request)
        made = rule_bases.take_rule_base(given=rule_bases.Given(**sent), actor=actor, at=timezone.now())
        return Response(RuleBaseDetailSchema(made).data, status=status.HTTP_201_CREATED)


class RuleBaseDetail(APIView):
    @extend_schema(
        operation_id="rule_bases_retrieve",
        summary="One rule base: how far it is read, its problems, and how much was found",
        responses=RuleBaseDetailSchema,
    )
    def get(self, request: Request, public_id: str) -> Response:
        return Response(RuleBaseDetailSchema(_base(request, public_id)).data)

    @extend_schema(
        operation_id="rule_bases_delete",
        summary="Delete a rule base for good, with its findings and clean-ups; its name confirms it",
        request=DeleteInput,
        responses={200: RuleBasePage},
    )
    def delete(self, request: Request, public_id: str) -> Response:
        sent = given(DeleteInput, request.data)
        delete_rule_base(public_id=public_id, name=sent["name"], actor=acting(request), at=timezone.now())
        page = selectors.list_visible_bases(viewer=acting(request))
        return Response(RuleBasePage({"results": page.items, "after": page.after}).data)


class RuleBaseFindings(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="rule_bases_findings",
        summary="What is wrong with the lines of a rule base",
        parameters=[FindingQuery],
        responses=RuleBaseFindingPage,
    )
    def get(self, request: Request, public_id: str) -> Response:
        query = given(FindingQuery, request.query_params)
        found, after = selectors.list_findings(_base(request, public_id), **query)
        return Response(RuleBaseFindingPage({"results": found, "after": after}).data)


class RuleBaseLines(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="rule_bases_lines",
        summary="The lines of a rule base as they were understood, in the order in which they are asked",
        parameters=[LineQuery],
        responses=RuleBaseLinePage,
    )
    def get(self, request: Request, public_id: str) -> Response:
        query = given(LineQuery, request.query_params)
        base, words = _base(request, public_id), query.pop("q")
        found, after = selectors.list_base_lines(base, query=words, **query)
        return Response(RuleBaseLinePage({"results": found, "after": after}).data)


class RuleBaseCleanings(APIView):
    @extend_schema(
        operation_id="rule_bases_clean",
        summary="Propose to take lines out of a rule base; what that changes is proven first",
        request=CleaningInput,
        responses={201: CleaningSchema},
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent, actor = given(CleaningInput, request.data), acting(request)
        made = cleaning.propose_cleaning(base_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(CleaningSchema(made).data, status=status.HTTP_201_CREATED)


class CleaningDetail(APIView):
    token_scope = Scope.READ

    @extend_schema(
        operation_id="rule_base_cleanings_retrieve",
        summary="One clean-up: what goes, what that changes, the answer, and once approved the cleaned text",
        responses=CleaningSchema,
    )
    def get(self, request: Request, public_id: str) -> Response:
        found = selectors.get_visible_cleaning(viewer=acting(request), public_id=public_id)
        return Response(CleaningSchema(found).data)


class CleaningDecide(APIView):
    @extend_schema(
        operation_id="rule_base_cleanings_decide",
        summary="Approve a clean-up somebody else proposed, or deny it",
        request=DecisionInput,
        responses=CleaningSchema,
    )
    def post(self, request: Request, public_id: str) -> Response:
        sent, actor = given(DecisionInput, request.data), acting(request)
        made = cleaning.decide_cleaning(public_id=public_id, actor=actor, at=timezone.now(), **sent)
        return Response(CleaningSchema(made).data)


def _base(request: Request, public_id: str) -> RuleBase:
    return selectors.get_visible_base(viewer=acting(request), public_id=public_id)
