"""What people type about outside identities."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django import forms

from apps.identity.errors import InvalidBinding, InvalidIssuer
from apps.identity.models import IssuerKind, ProofKind
from apps.identity.proofs import conditions, issuers
from apps.identity.proofs.bindings import Outside
from apps.identity.proofs.issuers import IssuerInput

PARTITIONS = [("aws", "AWS"), ("aws-cn", "AWS China"), ("aws-us-gov", "AWS GovCloud")]


class ProofForm(forms.Form):
    """The base of one form for each kind."""

    def outside(self) -> Outside:
        raise NotImplementedError


class AwsForm(ProofForm):
    kind = ""
    account = forms.CharField(label="Account", max_length=12, help_text="Twelve digits.")
    name = forms.CharField(label="Name", max_length=64, help_text="Of the role or user itself, without its path.")
    stable_id = forms.CharField(
        label="AWS's own id",
        max_length=128,
        required=False,
        help_text="AROA… or AIDA…, from aws iam get-role. Left out, the first proof fixes it.",
    )
    partition = forms.ChoiceField(label="Partition", choices=PARTITIONS, initial="aws")

    def outside(self) -> Outside:
        return Outside(kind=self.kind, **self.cleaned_data)


class AwsRoleForm(AwsForm):
    kind = ProofKind.AWS_ROLE


class AwsUserForm(AwsForm):
    kind = ProofKind.AWS_USER


class JwtForm(ProofForm):
    issuer = forms.ChoiceField(label="Issuer")
    sub = forms.CharField(
        label="Subject", max_length=255, help_text="Exactly what its tokens say, e.g. repo:shop/web:environment:prod"
    )
    conditions = forms.CharField(
        label="Claims it must carry too",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line: repository_owner_id = 1234, or ref ^= refs/heads/release/ for a beginning.",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as given
        choices = [(one.slug, f"{one.slug} ({one.issuer})") for one in issuers.list_issuers() if one.enabled]
        self.fields["issuer"].choices = choices  # type: ignore[attr-defined]

    def outside(self) -> Outside:
        given = self.cleaned_data
        asked = conditions.parse(given["conditions"])
        return Outside(kind=ProofKind.JWT, issuer=given["issuer"], sub=given["sub"], conditions=asked)


class KeyForm(ProofForm):
    jwks = forms.CharField(
        label="Public keys",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text="A JWK set of public keys, each with a kid. The private half never leaves its owner.",
    )

    def outside(self) -> Outside:
        try:
            sent = json.loads(self.cleaned_data["jwks"])
        except (ValueError, RecursionError) as error:
            raise InvalidBinding(fields={"jwks": ["This is not JSON."]}) from error
        return Outside(kind=ProofKind.KEY, jwks=sent if isinstance(sent, dict) else {})


FORMS: Mapping[str, type[ProofForm]] = {
    ProofKind.AWS_ROLE: AwsRoleForm,
    ProofKind.AWS_USER: AwsUserForm,
    ProofKind.JWT: JwtForm,
    ProofKind.KEY: KeyForm,
}


class LimitsForm(forms.Form):
    calls_per_day = forms.IntegerField(min_value=1, max_value=10**9, required=False)
    calls_per_minute = forms.IntegerField(min_value=1, max_value=10**9, required=False)


class IssuerForm(forms.Form):
    """Whose tokens about workloads are taken. What is left out is as usual for the kind."""

    kind = forms.ChoiceField(label="What it is", choices=IssuerKind.choices)
    slug = forms.SlugField(label="Short name", max_length=40)
    issuer = forms.CharField(
        label="Issuer",
        required=False,
        max_length=300,
        help_text="Exactly as its tokens say it. GitHub's and GitLab's public ones are filled in.",
    )
    account = forms.CharField(label="AWS account", required=False, max_length=12, help_text="For an AWS account only.")
    audience = forms.CharField(
        label="Audience", required=False, max_length=300, help_text="Left out: this console's address."
    )
    jwks_uri = forms.CharField(
        label="Address of its keys", required=False, max_length=300, help_text="Left out: as its discovery says."
    )
    jwks = forms.CharField(
        label="Or its public keys",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="A JWK set, for a cluster that cannot be asked from here: kubectl get --raw /openid/v1/jwks",
    )

    def given(self) -> IssuerInput:
        """Raises InvalidIssuer."""
        return IssuerInput(**{**self.cleaned_data, "jwks": keys_of(self.cleaned_data["jwks"])})


class KeysForm(forms.Form):
    """Other keys of an issuer that cannot be asked."""

    jwks = forms.CharField(max_length=20_000)

    def keys(self) -> Mapping[str, object]:
        return keys_of(self.cleaned_data["jwks"]) or {}


def keys_of(text: str) -> Mapping[str, object] | None:
    """None where nothing was written; raises InvalidIssuer for what is no JSON object."""
    if not text.strip():
        return None
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidIssuer(fields={"jwks": ["This is not JSON."]}) from error
    if not isinstance(sent, dict):
        raise InvalidIssuer(fields={"jwks": ["This is no JWK set."]})
    return sent
