"""What the API says about firewall requests, zones and services that are to go, and what it wants to hear."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.access.api_schemas import LONGEST, PersonSchema
from apps.access.models import Point
from apps.compiler.graph import SubjectKind
from apps.firewall.designing import ORDER
from apps.firewall.hops import Says
from apps.firewall.models import FirewallLine, FirewallRequest, Outcome, Verdict
from apps.firewall.services import NARROWEST, SIDES
from apps.firewall.services.drafting import MOST_LINES, MOST_TEXT
from apps.firewall.standing import LABELS, Stand, overall, stand_of

SAYS = [(one.value, one.value) for one in Says]


def words(**more: Any) -> serializers.CharField:
    return serializers.CharField(**{"required": False, "default": "", "allow_blank": True, "max_length": 500, **more})


def names(longest: int) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=longest), required=False, default=list, max_length=500
    )


class RemarkSchema(serializers.Serializer[Any]):
    line = serializers.IntegerField(help_text="0 is the text as a whole")
    sentence = serializers.CharField()


class ResolvedEndSchema(serializers.Serializer[Any]):
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field's name
    confidence = serializers.FloatField(min_value=0, max_value=1)
    why = serializers.CharField()


class ZoneCellSchema(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name
    destination = serializers.CharField()
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    why = serializers.CharField()
    said = serializers.BooleanField(help_text="False where nobody filled the cell")
    sentence = serializers.CharField()


class DesignSchema(serializers.Serializer[Any]):
    id = serializers.CharField()
    kind = serializers.ChoiceField(choices=[(one, one) for one in ORDER])
    title = serializers.CharField()
    sentence = serializers.CharField()
    routes = serializers.ListField(child=serializers.CharField())
    points = serializers.ListField(child=serializers.ChoiceField(choices=Point.choices))
    duration = serializers.IntegerField(help_text="Seconds; 0 where nothing is asked for")
    beside = serializers.CharField(help_text="The grants or the request it leans on")


class LineSchema(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    text = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name
    destination = serializers.CharField()
    protocol = serializers.CharField()
    ports = serializers.ListField(child=serializers.ListField(child=serializers.IntegerField()))
    direction = serializers.CharField(help_text="in, out, through, both, or empty where nothing is said")
    action = serializers.CharField()
    method = serializers.CharField()
    path = serializers.CharField()
    reason = serializers.CharField()
    until = serializers.DateTimeField(allow_null=True)
    state = serializers.SerializerMethodField()
    state_words = serializers.SerializerMethodField()
    subject = PersonSchema(source="meaning.subject", allow_null=True)
    service = serializers.CharField(source="meaning.service.slug", allow_null=True, default=None)
    routes = serializers.ListField(source="meaning.routes", child=serializers.CharField())
    points = serializers.ListField(source="meaning.points", child=serializers.ChoiceField(choices=Point.choices))
    addresses = serializers.ListField(source="meaning.blocks", child=serializers.CharField())
    confidence = serializers.FloatField(source="meaning.confidence", min_value=0, max_value=1)
    sources = serializers.SerializerMethodField()
    destinations = serializers.SerializerMethodField()
    methods = serializers.SerializerMethodField(
        help_text="What a path without its method may mean, the narrowest first"
    )
    confirmed_by = PersonSchema(source="meaning.confirmed_by", allow_null=True)
    problem = serializers.CharField(source="meaning.problem")
    allowed_by = serializers.ListField(source="meaning.allowed_by", child=serializers.CharField())
    zone = ZoneCellSchema(source="meaning.zone", allow_null=True)
    design = DesignSchema(allow_null=True)
    request = serializers.CharField(source="access_request.public_id", allow_null=True, default=None)
    refusal = serializers.CharField()

    @extend_schema_field(serializers.ChoiceField(choices=[(one.value, LABELS[one]) for one in Stand]))
    def get_state(self, line: FirewallLine) -> str:
        return stand_of(line).value

    @extend_schema_field(serializers.CharField())
    def get_state_words(self, line: FirewallLine) -> str:
        return LABELS[stand_of(line)]

    @extend_schema_field(ResolvedEndSchema(many=True))
    def get_sources(self, line: FirewallLine) -> list[dict[str, Any]]:
        return list(ResolvedEndSchema(line.meaning.found.get("source", []), many=True).data)

    @extend_schema_field(ResolvedEndSchema(many=True))
    def get_destinations(self, line: FirewallLine) -> list[dict[str, Any]]:
        return list(ResolvedEndSchema(line.meaning.found.get("destination", []), many=True).data)

    @extend_schema_field(ResolvedEndSchema(many=True))
    def get_methods(self, line: FirewallLine) -> list[dict[str, Any]]:
        return list(ResolvedEndSchema(line.meaning.found.get("method", []), many=True).data)


class FirewallRequestSchema(serializers.Serializer[Any]):
    id = serializers.CharField(source="public_id")
    title = serializers.CharField()
    asker = PersonSchema()
    reason = serializers.CharField()
    ticket = serializers.CharField()
    duration = serializers.IntegerField(allow_null=True, help_text="Seconds")
    ends_at = serializers.DateTimeField(allow_null=True)
    format = serializers.CharField(help_text="As what a pasted text was read")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class FirewallRequestDetail(FirewallRequestSchema):
    environment = serializers.CharField(source="environment.slug")
    state = serializers.SerializerMethodField()
    state_words = serializers.SerializerMethodField()
    left_aside = serializers.SerializerMethodField(help_text="What a pasted text said besides its lines")
    lines = serializers.SerializerMethodField()

    @extend_schema_field(RemarkSchema(many=True))
    def get_left_aside(self, request: FirewallRequest) -> list[dict[str, Any]]:
        return [{"line": number, "sentence": said} for number, said in request.aside]

    @extend_schema_field(serializers.ChoiceField(choices=["draft", "moving", "done", "withdrawn"]))
    def get_state(self, request: FirewallRequest) -> str:
        return overall(request, [stand_of(line) for line in request.lines.all()]).state

    @extend_schema_field(serializers.CharField())
    def get_state_words(self, request: FirewallRequest) -> str:
        return overall(request, [stand_of(line) for line in request.lines.all()]).sentence

    @extend_schema_field(LineSchema(many=True))
    def get_lines(self, request: FirewallRequest) -> list[dict[str, Any]]:
        return list(LineSchema(request.lines.all(), many=True).data)


class FirewallRequestPage(serializers.Serializer[Any]):
    results = FirewallRequestSchema(many=True)
    after = serializers.IntegerField(allow_null=True, help_text="Pass it back as `after` for older ones")


class FirewallQuery(serializers.Serializer[Any]):
    mine = serializers.BooleanField(required=False, default=False)
    after = serializers.IntegerField(required=False, default=None, min_value=1, max_value=2**62)


class LineInput(serializers.Serializer[Any]):
    source = serializers.CharField(max_length=500)  # type: ignore[assignment]  # a field's name
    destination = serializers.CharField(max_length=500)
    protocol = words(max_length=20)
    ports = words(max_length=200, help_text="Such as 443, or 80, 8000-8010")
    direction = words(max_length=20, help_text="inbound or outbound; in, out and through are taken too")
    method = words(max_length=10)
    path = words()
    until = serializers.DateField(
        required=False, default=None, allow_null=True, help_text="Its last day, in UTC; else that of the request"
    )
    reason = words(max_length=2000)


class NewFirewallRequest(serializers.Serializer[Any]):
    title = serializers.CharField(max_length=200)
    reason = serializers.CharField(max_length=5000)
    ticket = words(max_length=200)
    duration = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=LONGEST, help_text="Seconds"
    )
    ends_at = serializers.DateTimeField(required=False, default=None, allow_null=True)
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)
    lines = serializers.ListField(child=LineInput(), required=False, default=list, max_length=MOST_LINES)
    pasted = words(max_length=MOST_TEXT, trim_whitespace=False, help_text="Any text that holds lines")


class ChooseInput(serializers.Serializer[Any]):
    side = serializers.ChoiceField(choices=["source", "destination", "method"])
    key = serializers.CharField(max_length=300)


class TakeInput(serializers.Serializer[Any]):
    proposal = serializers.CharField(max_length=20, help_text=f"An id of those that are proposed, or {NARROWEST}")


class DropInput(serializers.Serializer[Any]):
    dropped = serializers.BooleanField()


class ConfirmInput(serializers.Serializer[Any]):
    lines = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LONGEST),
        required=False,
        default=list,
        max_length=MOST_LINES,
        help_text="Their numbers; none for all that are clear",
    )


class HopSchema(serializers.Serializer[Any]):
    code = serializers.CharField()
    name = serializers.CharField()
    place = serializers.CharField(help_text="The target, by name")
    sentence = serializers.CharField()
    now = serializers.ChoiceField(choices=SAYS, allow_null=True)
    after = serializers.ChoiceField(choices=SAYS, allow_null=True)
    changes = serializers.BooleanField()


class WaysSchema(serializers.Serializer[Any]):
    hops = HopSchema(many=True)
    proposals = DesignSchema(many=True, help_text="The narrowest first")


class SentSchema(serializers.Serializer[Any]):
    opened = serializers.ListField(child=serializers.CharField(), help_text="Ids of requests")
    left = serializers.DictField(child=serializers.CharField(), help_text="By line number, why it was not sent")
    request = FirewallRequestDetail()


class ZoneSchema(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    services = serializers.ListField(child=serializers.CharField())
    namespaces = serializers.ListField(child=serializers.CharField())
    networks = serializers.ListField(child=serializers.CharField())
    sensitivities = serializers.ListField(child=serializers.CharField())
    kinds = serializers.ListField(child=serializers.CharField())


class MatrixSchema(serializers.Serializer[Any]):
    zones = ZoneSchema(many=True)
    cells = ZoneCellSchema(many=True, help_text="Row by row; by name of the zones")


class ZoneInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    services = names(63)
    namespaces = names(63)
    networks = names(50)
    sensitivities = names(9)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=[(kind.value, kind.value) for kind in SubjectKind]),
        required=False,
        default=list,
    )


class CellInput(serializers.Serializer[Any]):
    source = serializers.CharField(max_length=40, help_text="The short name of a zone")  # type: ignore[assignment]  # a field's name
    destination = serializers.CharField(max_length=40)
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    why = serializers.CharField(max_length=300)


class CloneInput(serializers.Serializer[Any]):
    source = serializers.CharField(  # type: ignore[assignment]  # a field's name
        max_length=63, help_text="The service whose access is copied"
    )
    to = serializers.CharField(max_length=63)
    sides = serializers.ListField(child=serializers.ChoiceField(choices=list(SIDES)), min_length=1, max_length=2)
    title = words(max_length=200)
    reason = serializers.CharField(max_length=5000)
    ticket = words(max_length=200)
    duration = serializers.IntegerField(min_value=1, max_value=LONGEST, help_text="Seconds")
    environment = serializers.CharField(required=False, default=None, allow_null=True, max_length=63)


class NamedSchema(serializers.Serializer[Any]):
    kind = serializers.CharField()
    id = serializers.CharField()
    sentence = serializers.CharField()
    becomes = serializers.CharField(help_text="What approving does to it")


class DecommissionSchema(serializers.Serializer[Any]):
    service = serializers.CharField()
    retired = serializers.BooleanField()
    named = NamedSchema(many=True, help_text="What names it now")
    proposed_by = PersonSchema(allow_null=True)
    reason = serializers.CharField()
    outcome = serializers.ChoiceField(choices=[("", "Not answered"), *Outcome.choices], allow_blank=True)


class DecommissionInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=2000)


class OutcomeInput(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=Outcome.choices)
