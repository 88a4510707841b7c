"""Rule bases of old firewalls: pasted, explained line by line, and cleaned up with somebody else's yes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.audit.errors import Refusal
from apps.firewall import rule_base_policies as policies
from apps.firewall import rule_base_refusals as refusals
from apps.firewall.lines import ports_words
from apps.firewall.models import CleaningOutcome, RuleBase, RuleBaseFinding, RuleBaseLine
from apps.firewall.models.rule_bases import FORMATS, SEMANTICS
from apps.firewall.rulebase.findings import CODE_WORDS, HARMLESS, NOT_REMOVABLE
from apps.firewall.selectors import rule_bases as selectors
from apps.firewall.services import cleaning as cleanings
from apps.firewall.services import rule_bases as services
from apps.firewall.services.deleting import delete_rule_base
from apps.identity import selectors as identity
from apps.identity.pages import PageRequest, asked_text, complain

LARGEST_UPLOAD = 6 * 1024 * 1024
MOST_SHOWN = 200
MOST_ASKED = 200
ENDINGS = {
    "table": "txt", "ticket": "txt", "iptables": "rules", "security_groups": "json", "network_policy": "yaml",
    "address_lists": "json",
}  # fmt: skip
"""A table is not called csv: a spreadsheet that opens it by itself would run what somebody wrote behind a =."""
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class TakeForm(forms.Form):
    name = forms.CharField(label="Name", max_length=200, help_text="What you call this firewall.")
    text = forms.CharField(
        label="The rule base",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10, "class": "mono", "spellcheck": "false"}),
        help_text="Cells of a spreadsheet, sentences of a ticket, iptables-save, security groups, network policies.",
    )
    file = forms.FileField(label="Or a file", required=False)
    format = forms.ChoiceField(
        label="Written as", required=False, choices=[("", "Find out"), *FORMATS], help_text="Usually it is found out."
    )
    semantics = forms.ChoiceField(
        label="Its lines are asked", required=False, choices=[("", "As usual for this format"), *SEMANTICS]
    )
    team = forms.ChoiceField(label="Team that answers for it", required=False)

    def __init__(self, *args: object, teams: Iterable[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["team"].choices = [("", "Nobody but me"), *teams]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        file = cleaned.pop("file", None)
        if file is not None:
            cleaned["text"] = self._of_file(file)
        return cleaned

    def _of_file(self, file: forms.Field) -> str:
        raw: bytes = file.read(LARGEST_UPLOAD + 1)  # type: ignore[attr-defined]
        if len(raw) > LARGEST_UPLOAD:
            raise forms.ValidationError({"file": "The file is larger than 6 MB."})
        if raw.startswith(WORKBOOKS):
            raise forms.ValidationError(
                {"file": "This is a workbook. Save its sheet as CSV, or copy its cells and paste."}
            )
        for encoding in ("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "cp1252"):
            try:
                return raw.decode(encoding)
            except UnicodeDecodeError:
                continue
        raise forms.ValidationError({"file": "The file is no text. Save it as UTF-8."})


@require_http_methods(["GET", "POST"])
def rule_bases(request: PageRequest) -> HttpResponse:
    """Those one may see, and a place to paste another."""
    teams = [(team.key, team.name) for team in identity.teams_of(request.subject)]
    form = TakeForm(request.POST or None, request.FILES or None, teams=teams)
    problems: Sequence[object] = ()
    if request.method == "POST" and form.is_valid():
        given = services.Given(**form.cleaned_data)
        try:
            base = services.take_rule_base(given=given, actor=request.subject, at=timezone.now())
        except Refusal as refusal:
            complain(form, refusal)
            problems = refusal.extra.get("problems", ())  # type: ignore[assignment]
        else:
            return redirect("rule_base", base.public_id)
    page = selectors.list_visible_bases(viewer=request.subject, after=_number(request, "after"))
    context = {"form": form, "problems": problems[:MOST_SHOWN], "count": len(problems), "page": page}
    return TemplateResponse(request, "firewall/rule_bases.html", context, status=422 if form.errors else 200)


def _number(request: PageRequest, name: str) -> int | None:
    text = asked_text(request, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


@require_GET
def show(request: PageRequest, public_id: str) -> HttpResponse:
    """What is wrong with it: the problems it cannot be read for, or the findings about its lines."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id)
    return TemplateResponse(request, "firewall/rule_base.html", _shown(request, base, ""))


def _shown(request: PageRequest, base: RuleBase, complaint: str) -> dict[str, object]:
    code = asked_text(request, "code")
    counts = selectors.count_findings(base) if base.is_ready else {}
    found, after = selectors.list_findings(base, code=code, after=_number(request, "after")) if counts else ([], None)
    texts = selectors.texts_of(base, {number for one in found for number in (one.number, *one.involved[:5])})
    kinds = [(one.value, *CODE_WORDS[one], counts[one.value], one in HARMLESS, one not in NOT_REMOVABLE)
             for one in CODE_WORDS if counts.get(one.value)]  # fmt: skip
    return {
        "base": base,
        "code": code if code in counts else "",
        "kinds": kinds,
        "count": sum(counts.values()),
        "findings": [_row(one, texts) for one in found],
        "after": after,
        "cleanings": list(selectors.list_cleanings(base)[:5]) if base.is_ready else [],
        "problems": base.problems[:MOST_SHOWN],
        "notes": base.notes[:20],
        "complaint": complaint,
        "may_delete": policies.can_delete(request.subject, base),
    }


def _row(finding: RuleBaseFinding, texts: dict[int, str]) -> dict[str, object]:
    return {
        "finding": finding,
        "text": texts.get(finding.number, ""),
        "others": [(number, texts.get(number, "")) for number in finding.involved[:5]],
        "more": max(0, len(finding.involved) - 5),
        "removable": finding.code not in {one.value for one in NOT_REMOVABLE},
    }


@require_GET
def lines(request: PageRequest, public_id: str) -> HttpResponse:
    """Every line as it was understood."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id)
    query = asked_text(request, "q")
    rows, after = selectors.list_base_lines(base, query=query, after=_number(request, "after"))
    context = {"base": base, "rows": [(row, _ports(row)) for row in rows], "after": after, "q": query}
    return TemplateResponse(request, "firewall/rule_base_lines.html", context)


def _ports(row: RuleBaseLine) -> str:
    return ports_words(tuple((low, high) for low, high in row.ports))


@require_POST
def propose(request: PageRequest, public_id: str) -> HttpResponse:
    """Lines, when some are ticked; else all lines of the kinds that are."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id)
    try:
        found = cleanings.propose_cleaning(
            base_id=public_id,
            codes=request.POST.getlist("codes")[:20],
            numbers=_numbers(request.POST.getlist("number")),
            reason=request.POST.get("reason", ""),
            actor=request.subject,
            at=timezone.now(),
        )
    except (refusals.NothingToClean, refusals.CleaningOpen, refusals.RuleBaseNotReady) as refusal:
        complaint = " ".join(said for fault in refusal.fields.values() for said in fault) or refusal.message
        context = _shown(request, base, complaint)
        return TemplateResponse(request, "firewall/rule_base.html", context, status=refusal.status)
    return redirect("rule_base_cleaning", found.public_id)


def _numbers(texts: Iterable[str]) -> list[int]:
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 9][:5_000]


@require_GET
def ask(request: PageRequest, public_id: str) -> HttpResponse:
    """The ticked lines as a table, for a firewall request to be written from."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id)
    numbers = _numbers(request.GET.getlist("number"))
    rows = selectors.list_lines_numbered(base, numbers, limit=MOST_ASKED) if numbers else []
    context = {"base": base, "rows": rows, "text": as_table(rows), "most": MOST_ASKED}
    return TemplateResponse(request, "firewall/rule_base_ask.html", context)


def as_table(rows: Iterable[RuleBaseLine]) -> str:
    """A table that is read back as these lines. Denials and conditions are nothing to ask for."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "destination", "protocol", "port", "direction", "action", "until", "reason"])
    for row in rows:
        if row.action == "allow":
            ports = _ports(row) if row.ports else "any"
            until = row.until.isoformat() if row.until else ""
            writer.writerow(
                [row.source, row.destination, row.protocol, ports, row.direction, row.action, until, row.reason]
            )
    return out.getvalue()


@require_GET
def cleaning(request: PageRequest, public_id: str) -> HttpResponse:
    """What would go, and what that changes."""
    return TemplateResponse(request, "firewall/rule_base_cleaning.html", _proposal(request, public_id))


def _proposal(request: PageRequest, public_id: str) -> dict[str, object]:
    found = selectors.get_visible_cleaning(viewer=request.subject, public_id=public_id)
    shown = found.dropped[:MOST_SHOWN]
    texts = selectors.texts_of(found.base, shown)
    fresh = RuleBase.objects.filter(cleaned_from=found).defer("text").first() if found.outcome else None
    return {
        "cleaning": found,
        "base": found.base,
        "lines": [(number, texts.get(number, "")) for number in shown],
        "more": len(found.dropped) - len(shown),
        "why_not": policies.why_not_decide(request.subject, found.base, found),
        "fresh": fresh,
    }


@require_POST
def decide(request: PageRequest, public_id: str) -> HttpResponse:
    approve = request.POST.get("verdict") == "approve"
    cleanings.decide_cleaning(
        public_id=public_id,
        approve=approve,
        comment=request.POST.get("comment", ""),
        actor=request.subject,
        at=timezone.now(),
    )
    messages.success(request, "Approved. The cleaned text can be taken out." if approve else "Denied. Nothing changes.")
    return redirect("rule_base_cleaning", public_id)


class DeleteForm(forms.Form):
    name = forms.CharField(label="Its name", max_length=200, help_text="Write it as it stands above.")


@require_http_methods(["GET", "POST"])
def delete(request: PageRequest, public_id: str) -> HttpResponse:
    """Asked once more, with the name to write, because nothing brings it back."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id)
    policies.require_can_delete(request.subject, base)
    form = DeleteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            delete_rule_base(
                public_id=public_id, name=form.cleaned_data["name"], actor=request.subject, at=timezone.now()
            )
        except refusals.DeletionUnconfirmed as refusal:
            complain(form, refusal)
        else:
            messages.success(request, f"{base.name} is deleted.")
            return redirect("rule_bases")
    context = {"base": base, "form": form, "waiting": selectors.list_cleanings(base).filter(outcome="").first()}
    status = 422 if form.errors else 200
    return TemplateResponse(request, "firewall/rule_base_delete.html", context, status=status)


@require_GET
def text(request: PageRequest, public_id: str) -> HttpResponse:
    """The rule base as it was given."""
    base = selectors.get_visible_base(viewer=request.subject, public_id=public_id, whole=True)
    return text_answer(base.text, f"{base.public_id}.{ENDINGS[base.format]}")


@require_GET
def cleaned_text(request: PageRequest, public_id: str) -> HttpResponse:
    """The rule base without the lines somebody else agreed to take out."""
    found = selectors.get_visible_cleaning(viewer=request.subject, public_id=public_id)
    if found.outcome != CleaningOutcome.APPROVED:
        raise refusals.CleanedNotApproved
    return text_answer(found.text, f"{found.base.public_id}-cleaned.{ENDINGS[found.base.format]}")


def text_answer(content: str, name: str) -> HttpResponse:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(content, content_type="text/plain; charset=utf-8", headers=headers)
