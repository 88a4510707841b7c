"""What people type about identities."""

from __future__ import annotations

from django import forms

from apps.identity.models import Scope, Subject

LIVES = [(1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year")]


class TokenForm(forms.Form):
    """An API token for oneself or for an agent or workload one answers for."""

    subject = forms.ChoiceField(label="For")
    name = forms.CharField(label="Name", max_length=100, help_text="Where it will be used, so that you know it again.")
    scopes = forms.MultipleChoiceField(
        label="It may", choices=Scope.choices, widget=forms.CheckboxSelectMultiple, initial=[Scope.READ]
    )
    days = forms.TypedChoiceField(label="Lives for", choices=LIVES, coerce=int, initial=30)

    def __init__(self, *args: object, subjects: list[Subject], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
        self.fields["subject"].choices = [(one.key, one.name) for one in subjects]  # type: ignore[attr-defined]


class SignalSourceForm(forms.Form):
    """Who signs Shared Signals, as the transmitter's own metadata says it."""

    issuer = forms.CharField(label="Issuer", max_length=300, help_text="Exactly as in the transmitter's metadata.")
    jwks_uri = forms.CharField(label="Keys (jwks_uri)", max_length=500)
    audience = forms.CharField(label="Audience", max_length=300, help_text="What the transmitter calls this console.")
