"""Rules from groups to teams and roles: with who would gain and lose what, and the access that hangs on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from apps.access import selectors as access
from apps.identity import selectors
from apps.identity.mapping import deciding, reading
from apps.identity.mapping.applying import Weighed, names_of
from apps.identity.mapping.rules import Change, Rule
from apps.identity.models import Kind, Match, MembershipRole, Role
from apps.identity.pages import PageRequest, complaints_on, require_role
from apps.identity.scim.reading import get_provider

if TYPE_CHECKING:
    from apps.access.models import Grant
    from apps.identity.models import GroupRule, PendingMapping, Subject

MOST_SHOWN, MOST_TEAMS = 50, 200
IN_TEAM = [(f"team:{role}", f"{label} of the team") for role, label in MembershipRole.choices]
AS_ROLE = [(f"role:{role}", f"{label} of this console") for role, label in Role.choices]


class RuleForm(forms.Form):
    """What a group gives: a place in a team, or a console role."""

    match = forms.ChoiceField(label="A group whose name", choices=Match.choices)
    pattern = forms.CharField(label="Name, beginning or expression", max_length=255, strip=False)
    gives = forms.ChoiceField(label="makes its people", choices=[*IN_TEAM, *AS_ROLE])
    team = forms.CharField(
        label="Team",
        max_length=265,
        required=False,
        help_text="Its id, like team:storefront. Not for a console role.",
        widget=forms.TextInput(attrs={"list": "teams", "autocomplete": "off"}),
    )

    def rule(self) -> Rule:
        given = self.cleaned_data
        kind, _, role = given["gives"].partition(":")
        if kind == "role":
            return Rule(given["match"], given["pattern"], console_role=role)
        return Rule(given["match"], given["pattern"], team=given["team"].strip(), team_role=role)


@dataclass(frozen=True, slots=True)
class Row:
    """What one person would gain and lose, in words."""

    person: Subject
    gains: tuple[str, ...]
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A dry run as the page tells it. ``grants`` are held by teams that somebody would leave."""

    weighed: Weighed
    rows: list[Row]
    more: int
    grants: list[Grant]
    fingerprint: str


def show(weighed: Weighed, at: datetime) -> Shown:
    known = names_of(weighed.changes)
    lost = {team for change in weighed.changes for team in change.lost_teams}
    first = weighed.changes[:MOST_SHOWN]
    return Shown(
        weighed=weighed,
        rows=[_row(one, known) for one in first],
        more=len(weighed.changes) - len(first),
        grants=list(access.list_running_of(keys=lost, at=at)[:MOST_SHOWN]) if lost else [],
        fingerprint=deciding.fingerprint(weighed.changes),
    )


def _row(change: Change, known: Mapping[str, Subject]) -> Row:
    return Row(
        known[change.person],
        (*_places(change.gained_teams, known), *sorted(change.gained_roles)),
        (*_places(change.lost_teams, known), *sorted(change.lost_roles)),
    )


def _places(teams: Mapping[str, str], known: Mapping[str, Subject]) -> list[str]:
    return [f"{known[key].name} ({role})" for key, role in sorted(teams.items())]


@require_http_methods(["GET", "POST"])
def mapping(request: PageRequest, slug: str) -> HttpResponse:
    """A GET with a rule in it shows what the rule would do; a POST makes it count."""
    require_role(request, Role.ADMINISTRATOR)
    at, provider = timezone.now(), get_provider(slug)
    given = request.POST if request.method == "POST" else request.GET
    form = RuleForm(given if "pattern" in given else None)
    dry, pending, rules = None, reading.open_pause(provider), list(reading.list_rules(provider))
    if form.is_bound and form.is_valid():
        with complaints_on(form):
            if request.method == "POST":
                return _add(request, slug, form.rule(), at)
            dry = show(deciding.try_rule(provider, form.rule(), at=at), at)
    context = {
        "provider": provider,
        "rules": rules,
        "form": form,
        "dry": dry,
        "pending": pending,
        "waiting": show(deciding.try_pending(pending, at=at), at) if pending else None,
        "proposed": _proposed(pending, rules) if pending else "",
        "teams": [] if pending else list(selectors.list_subjects(kind=Kind.TEAM)[:MOST_TEAMS]),
    }
    status = 422 if request.method == "POST" else 200
    return TemplateResponse(request, "console/mapping.html", context, status=status)


def _proposed(pending: PendingMapping, rules: list[GroupRule]) -> str:
    """The rule that somebody wants to add or remove, in words; empty when it was the directory that sent something."""
    asked = pending.proposal
    if "add" in asked:
        return f"{Match(asked['add']['match']).label} {asked['add']['pattern']}"
    found = next((one for one in rules if one.pk == asked.get("remove")), None)
    return f"{found.get_match_display()} {found.pattern}" if found else ""


def _add(request: PageRequest, slug: str, rule: Rule, at: datetime) -> HttpResponse:
    outcome = deciding.add_rule(provider_slug=slug, rule=rule, actor=request.subject.actor, at=at)
    return _told(request, slug, outcome, "The rule counts from now on.")


def _told(request: PageRequest, slug: str, outcome: deciding.Outcome, done: str) -> HttpResponse:
    if outcome.paused is None:
        messages.success(request, done)
    else:
        messages.warning(request, "Nothing is changed yet: too many people would lose something. Look, then confirm.")
    return redirect("mapping", slug=slug)


@require_http_methods(["GET", "POST"])
def remove(request: PageRequest, slug: str, rule_id: int) -> HttpResponse:
    """First what it would take away, then the button."""
    require_role(request, Role.ADMINISTRATOR)
    at, provider = timezone.now(), get_provider(slug)
    if request.method == "POST":
        outcome = deciding.remove_rule(provider_slug=slug, rule_id=rule_id, actor=request.subject.actor, at=at)
        return _told(request, slug, outcome, "The rule is gone, and what only it gave.")
    rule = reading.get_rule(provider, rule_id)
    dry = show(deciding.try_without(provider, rule_id, at=at), at)
    return TemplateResponse(request, "console/mapping_remove.html", {"provider": provider, "rule": rule, "dry": dry})


@require_POST
def confirm(request: PageRequest, pending_id: int) -> HttpResponse:
    shown = request.POST.get("shown", "")[:64]
    pending = deciding.confirm(pending_id=pending_id, shown=shown, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Confirmed. Both doors follow within seconds.")
    return redirect("mapping", slug=pending.provider.slug)


@require_POST
def discard(request: PageRequest, pending_id: int) -> HttpResponse:
    pending = deciding.discard(pending_id=pending_id, actor=request.subject.actor, at=timezone.now())
    messages.success(request, "Discarded. Everybody keeps what they have.")
    return redirect("mapping", slug=pending.provider.slug)
