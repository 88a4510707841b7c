"""The page of the agent in a cluster that lets nobody in: what to apply there, and whose tokens it may show."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.audit.errors import NotFound
from apps.identity.models import IssuerKind
from apps.identity.pages import PageRequest, asked_text, complaints_on, require_role
from apps.identity.proofs.issuers import list_issuers
from apps.identity.selectors import has_role
from apps.rollout import handouts
from apps.rollout.cluster.views import cluster_target
from apps.rollout.models import Node, Target
from apps.rollout.policies import KEEPERS, WATCHERS
from apps.rollout.services.driving import is_live
from apps.rollout.services.targets import enroll_account

IMAGE, ACCOUNT = "sallyport-door:latest", "sallyport/sallyport-agent"
LONGEST_IMAGE = 255


class AccountForm(forms.Form):
    issuer = forms.ChoiceField(label="Cluster whose tokens are trusted")
    account = forms.CharField(
        label="Service account",
        max_length=320,
        help_text="namespace/name; the manifest makes sallyport/sallyport-agent.",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
        trusted = [one for one in list_issuers() if one.enabled and one.kind == IssuerKind.EKS]
        self.fields["issuer"].choices = [  # type: ignore[attr-defined]  # it is a ChoiceField
            (one.slug, f"{one.slug} ({one.issuer})") for one in trusted
        ]
        self.knows_none = not trusted


@require_http_methods(["GET", "POST"])
def agent(request: PageRequest, slug: str) -> HttpResponse:
    """Posting lets the agent in by the service account it runs as."""
    require_role(request, *(KEEPERS if request.method == "POST" else WATCHERS))
    target, at = cluster_target(slug), timezone.now()
    if not target.is_pulled:
        raise NotFound
    form = AccountForm(request.POST or None, initial={"account": ACCOUNT})
    if request.method == "POST" and form.is_valid() and _let_in(request, form, target):
        messages.success(request, "It may come in by that account. Apply the manifest and it will be here.")
        return redirect("target_agent", slug)
    image = asked_text(request, "image")[:LONGEST_IMAGE] or IMAGE
    by_account = asked_text(request, "by") != "secret"
    files = handouts.cluster_agent(target_slug=slug, image=image, by_account=by_account, at=at)
    node = Node.objects.filter(target=target, applies=True).order_by("-last_seen_at", "name").first()
    context = {
        "target": target,
        "form": form,
        "manifest": files["agent.yaml"],
        "image": image,
        "by_account": by_account,
        "node": node,
        "online": node is not None and is_live(node, at),
        "keeper": has_role(request.subject, *KEEPERS),
    }
    return TemplateResponse(request, "rollout/cluster_agent.html", context, status=422 if form.errors else 200)


def _let_in(request: PageRequest, form: AccountForm, target: Target) -> bool:
    with complaints_on(form):
        enroll_account(
            target_slug=target.slug,
            name=handouts.AGENT_NODE,
            issuer=form.cleaned_data["issuer"],
            account=form.cleaned_data["account"].strip(),
            actor=request.subject.actor,
            at=timezone.now(),
            applies=True,
        )
    return form.is_valid()
