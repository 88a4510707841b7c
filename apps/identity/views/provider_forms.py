"""What an administrator types about a provider."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from django import forms

from apps.identity.models import ClientAuth, Preset
from apps.identity.providers.presets import GUIDES
from apps.identity.services import MOST_MINUTES, USUAL_MINUTES, ProviderFacts
from apps.identity.verification import SAFE_ALGORITHMS

if TYPE_CHECKING:
    from apps.identity.models import Provider

NO_FACTS = frozenset({"slug", "client_secret", "asks_again", "ask_again_minutes"})
ALGORITHMS = [(one, one) for one in sorted(SAFE_ALGORITHMS)]


class ProviderForm(forms.Form):
    """Everything but the preset, which is chosen first and fills in the rest."""

    name = forms.CharField(max_length=100, help_text="As on the button: Sign in with …")
    slug = forms.CharField(label="Short name", max_length=40, help_text="Part of the addresses; it stays as it is.")
    issuer = forms.CharField(max_length=300)
    client_id = forms.CharField(label="Client ID", max_length=255)
    client_secret = forms.CharField(
        max_length=1000, required=False, strip=True, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )
    scopes = forms.CharField(max_length=200)
    groups_claim = forms.CharField(
        max_length=600,
        required=False,
        help_text='The claim that holds the groups. A claim within a claim is a list: ["realm_access", "roles"]',
    )
    allowed_domains = forms.CharField(
        label="Allowed e-mail domains",
        max_length=2000,
        required=False,
        help_text="With commas. Only addresses that the provider calls verified count. Empty allows all.",
    )
    tenant_claim = forms.CharField(
        label="Pinned claim", max_length=40, required=False, help_text="tid for Entra, hd for Google."
    )
    tenant = forms.CharField(label="What it must say", max_length=100, required=False)
    subject_claim = forms.CharField(max_length=40, help_text="Names the person for ever: sub, and oid for Entra.")
    algorithms = forms.MultipleChoiceField(
        label="Signatures", choices=ALGORITHMS, widget=forms.CheckboxSelectMultiple, required=False
    )
    client_auth = forms.ChoiceField(label="How the client secret is sent", choices=ClientAuth.choices)
    step_up_acr = forms.CharField(
        label="acr for approving sensitive services",
        max_length=200,
        required=False,
        help_text="For example urn:okta:loa:2fa:any. Empty asks only for a fresh sign-in.",
    )
    asks_again = forms.BooleanField(label="Ask the directory again while somebody is signed in", required=False)
    ask_again_minutes = forms.IntegerField(
        label="Every so many minutes",
        min_value=1,
        max_value=MOST_MINUTES,
        required=False,
        help_text="Only about sessions that are used. Takes the scope offline_access, and refresh tokens there.",
    )
    creates_people = forms.BooleanField(label="Whoever is new becomes a person without any rights", required=False)

    def __init__(self, *args: object, provider: Provider | None = None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
        if provider is not None:
            del self.fields["slug"]
            is_set = bool(provider.client_secret_sealed)
            self.fields["client_secret"].help_text = (
                "One is set. Type another to replace it." if is_set else "None is set."
            )

    def clean_groups_claim(self) -> list[str]:
        """A JSON list of keys, or one key as it stands: some are addresses with dots and slashes in them."""
        text: str = self.cleaned_data["groups_claim"].strip()
        if not text.startswith("["):
            return [text] if text else []
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise forms.ValidationError("Write one claim, or a list of keys in JSON.")
        return found

    def clean_allowed_domains(self) -> list[str]:
        return sorted(set(re.findall(r"[^\s,;]+", self.cleaned_data["allowed_domains"].lower())))

    def facts(self, preset: str) -> ProviderFacts:
        given = {name: self.cleaned_data[name] for name in self.cleaned_data.keys() - NO_FACTS}
        minutes = (self.cleaned_data["ask_again_minutes"] or USUAL_MINUTES) if self.cleaned_data["asks_again"] else 0
        return ProviderFacts(preset=preset, ask_again_minutes=minutes, **given)


def suggestions(preset: Preset) -> dict[str, object]:
    """What a preset fills in."""
    guide = GUIDES[preset]
    name = preset.label.partition(",")[0]
    return {
        "name": name,
        "slug": name.lower().split()[0] if preset != Preset.ENTRA else "entra",
        "issuer": guide.issuer,
        "scopes": guide.scopes,
        "groups_claim": shown_path(guide.groups_claim),
        "algorithms": guide.algorithms,
        "subject_claim": guide.subject_claim,
        "tenant_claim": guide.tenant_claim,
        "client_auth": guide.client_auth,
        "step_up_acr": guide.step_up_acr,
        "asks_again": guide.asks_again,
        "ask_again_minutes": USUAL_MINUTES,
        "creates_people": True,
    }


def present(provider: Provider) -> dict[str, object]:
    """What a row fills in. The secret is not among it."""
    names = ("name", "issuer", "client_id", "scopes", "tenant_claim", "tenant", "subject_claim")
    found: dict[str, object] = {name: getattr(provider, name) for name in names}
    return found | {
        "groups_claim": shown_path(provider.groups_claim),
        "allowed_domains": ", ".join(provider.allowed_domains),
        "algorithms": provider.algorithms,
        "client_auth": provider.client_auth,
        "step_up_acr": provider.step_up_acr,
        "asks_again": provider.ask_again_minutes > 0,
        "ask_again_minutes": provider.ask_again_minutes or USUAL_MINUTES,
        "creates_people": provider.creates_people,
    }


def shown_path(keys: list[str] | tuple[str, ...]) -> str:
    return keys[0] if len(keys) == 1 else json.dumps(list(keys)) if keys else ""
