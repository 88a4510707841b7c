"""Writing rules and guardrails: a form, and what it would concern."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.access import policies
from apps.access.models import SENSITIVITIES, Point, SelectorKind
from apps.access.selectors import consequences, policy
from apps.access.services import governing
from apps.access.services.governance import GuardrailValues, RuleValues
from apps.access.weighing import span
from apps.compiler.graph import SubjectKind
from apps.compiler.paths import METHODS
from apps.identity.pages import PageRequest, complaints_on, require_role

if TYPE_CHECKING:
    from apps.access.models import ApprovalRule, Guardrail

_SPAN = re.compile(r"(\d{1,6})\s*(second|minute|hour|day)s?", re.IGNORECASE)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
LONGEST = 2**31 - 1
MOST_NAMES = 200


def some(label: str, choices: list[tuple[str, str]], help_text: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label, choices=choices, required=False, widget=forms.CheckboxSelectMultiple, help_text=help_text
    )


class Names(forms.CharField):
    """Several names with commas or blanks between."""

    def to_python(self, value: Any) -> tuple[str, ...]:  # type: ignore[override]  # a CharField of many
        return tuple(dict.fromkeys(str(super().to_python(value) or "").replace(",", " ").split()))

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else ", ".join(value)

    def validate(self, value: Any) -> None:
        if len(value) > MOST_NAMES:
            raise forms.ValidationError(f"At most {MOST_NAMES} names.")


class Span(forms.CharField):
    """A time in words; None for none."""

    def to_python(self, value: Any) -> int | None:  # type: ignore[override]  # a CharField that is a number
        text = super().to_python(value)
        if not text:
            return None
        found = _SPAN.fullmatch(text)
        seconds = int(found.group(1)) * _SECONDS[found.group(2).lower()] if found else 0
        if not 0 < seconds <= LONGEST:
            raise forms.ValidationError("Write it like 8 hours, 30 minutes or 2 days.")
        return seconds

    def prepare_value(self, value: Any) -> Any:
        return span(value) if isinstance(value, int) else value

    def run_validators(self, value: Any) -> None:
        """What can be read is right."""


def pairs(codes: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(code, code.capitalize() if code.islower() else code) for code in codes]


KINDS = [(kind.value, kind.value.capitalize()) for kind in SubjectKind]


class PolicyForm(forms.Form):
    """What rules and guardrails have in common. ``slug`` names a new one; ``version`` is what its author saw."""

    slug = forms.SlugField(label="Short name", max_length=64, help_text="For addresses and the record. It stays.")
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=LONGEST, initial=governing.NEW)
    sentence = forms.CharField(
        label="In one sentence", max_length=300, help_text="Everybody who meets it reads this sentence."
    )

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug == "new":
            raise forms.ValidationError("Take another: this name stands for one that is not there yet.")
        return slug

    def values(self) -> Any:
        raise NotImplementedError

    def _given(self) -> dict[str, Any]:
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in self.cleaned_data.items()}
        return {name: value for name, value in given.items() if name not in ("slug", "version")}


class RuleForm(PolicyForm):
    services = Names(label="Only for these services", required=False, help_text="Their short names. Empty: all.")
    sensitivities = some("Only when the service is", pairs(SENSITIVITIES), "None ticked: whatever it is.")
    subject_kinds = some("Only when it is for a", KINDS)
    methods = some("Only when it includes", pairs(METHODS))
    points = some("Only at this door", list(Point.choices))
    approver_kind = forms.ChoiceField(
        label="Who must agree", required=False, choices=[("", "Nobody: it only limits the time"), *SelectorKind.choices]
    )
    approver_value = forms.CharField(
        label="Which role or team", max_length=255, required=False, help_text="Such as security, or team:payments."
    )
    count = forms.IntegerField(label="How many of them", min_value=0, max_value=99, initial=0)
    max_duration = Span(label="At most", required=False, help_text="Such as 8 hours. Empty: it limits no time.")

    def values(self) -> RuleValues:
        return RuleValues(**self._given())


class GuardrailForm(PolicyForm):
    kinds = some("Stands before every", KINDS, "None ticked and nobody named: before everybody.")
    subjects = Names(label="And before these", required=False, help_text="Such as person:ada or team:storefront.")
    services = Names(label="At these services", required=False, help_text="Their short names. Empty: all.")
    routes = Names(label="On these routes", required=False, help_text="Keys of routes of these services. Empty: all.")
    methods = some("For these methods", pairs(METHODS), "None ticked: all.")
    points = some("At this door", list(Point.choices), "None ticked: both.")

    def values(self) -> GuardrailValues:
        return GuardrailValues(**self._given())


@dataclass(frozen=True, slots=True)
class Governed:
    """The two kinds of policy, for views that are the same for both."""

    name: str
    listed: str
    form: type[PolicyForm]
    find: Callable[[str], ApprovalRule | Guardrail]
    values_of: Callable[[Any], RuleValues | GuardrailValues]
    save: Callable[..., ApprovalRule | Guardrail]
    enable: Callable[..., ApprovalRule | Guardrail]
    weigh: Callable[..., consequences.Consequences]


RULE = Governed(
    "rule",
    "rules",
    RuleForm,
    policy.get_rule,
    governing.values_of_rule,
    governing.save_rule,
    governing.enable_rule,
    consequences.consequences_of_rule,
)
GUARDRAIL = Governed(
    "guardrail",
    "guardrails",
    GuardrailForm,
    policy.get_guardrail,
    governing.values_of_guardrail,
    governing.save_guardrail,
    governing.enable_guardrail,
    consequences.consequences_of_guardrail,
)


@require_http_methods(["GET", "POST"])
def write(request: PageRequest, what: Governed, slug: str = "") -> HttpResponse:
    """A GET with what is typed shows what it would concern; a POST keeps it."""
    require_role(request, *policies.GOVERNORS)
    row = what.find(slug) if slug else None
    form = _form(request, what, row)
    if request.method == "POST" and form.is_valid() and _saved(request, what, form):
        messages.success(request, "It counts from now on." if form.cleaned_data["version"] else "It is in force.")
        return redirect(what.listed)
    context = {
        "what": what,
        "row": row,
        "form": form,
        "groups": [form[name] for name in form.fields if isinstance(form.fields[name], forms.MultipleChoiceField)],
        "lines": [form[name] for name in form.fields if _is_line(name, form)],
        "weighed": _weighed(what, row, form),
    }
    status = 422 if request.method == "POST" else 200
    return TemplateResponse(request, "access/policy_form.html", context, status=status)


def _is_line(name: str, form: PolicyForm) -> bool:
    return name not in ("slug", "version", "sentence") and not isinstance(form.fields[name], forms.MultipleChoiceField)


def _form(request: PageRequest, what: Governed, row: ApprovalRule | Guardrail | None) -> PolicyForm:
    given = request.POST if request.method == "POST" else request.GET
    bound = given.copy() if "sentence" in given else None
    known: dict[str, object] = {}
    if row is not None:
        values = what.values_of(row)
        known = {name: getattr(values, name) for name in what.form.base_fields if hasattr(values, name)}
        known |= {"slug": row.slug, "version": row.version}
        if bound is not None:
            bound["slug"] = row.slug
    return what.form(bound, initial=known)


def _saved(request: PageRequest, what: Governed, form: PolicyForm) -> bool:
    given = form.cleaned_data
    with complaints_on(form):
        values, at = _kept(what, form), timezone.now()
        what.save(slug=given["slug"], values=values, version=given["version"], actor=request.subject.actor, at=at)
    return form.is_valid()


def _kept(what: Governed, form: PolicyForm) -> RuleValues | GuardrailValues:
    """A retired one stays retired while its words change."""
    values: RuleValues | GuardrailValues = form.values()
    if form.cleaned_data["version"] == governing.NEW:
        return values
    return replace(values, enabled=what.find(form.cleaned_data["slug"]).enabled)


def _weighed(
    what: Governed, row: ApprovalRule | Guardrail | None, form: PolicyForm
) -> consequences.Consequences | None:
    """None while what is typed cannot be read."""
    if form.is_bound:
        if not form.is_valid():
            return None
        return what.weigh(slug=form.cleaned_data["slug"], values=form.values())
    return what.weigh(slug=row.slug, values=what.values_of(row)) if row is not None else None


@require_POST
def enable(request: PageRequest, what: Governed, slug: str) -> HttpResponse:
    """Retire it, or put it in force again."""
    require_role(request, *policies.GOVERNORS)
    wanted, version = request.POST.get("to") == "on", request.POST.get("version", "")
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else governing.NEW
    what.enable(slug=slug, enabled=wanted, version=number, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "It is in force again." if wanted else "It is retired, and stays on the list.")
    return redirect(what.listed)
