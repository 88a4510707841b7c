"""What an operator types to connect a target. A secret is never put back into the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from django import forms

from apps.rollout.akamai.edgerc import DEFAULT_SECTION, LARGEST_FILE, BadEdgerc, EdgeGridCredential, parse_edgerc
from apps.rollout.akamai.edgerc import from_environment as read_environment
from apps.rollout.services.akamai.placing import Place

TIERS = [(200, "Dynamic Compute"), (100, "Basic Compute"), (300, "Enterprise Compute")]
PASTE, FILE, ENVIRONMENT = "paste", "file", "environment"
SOURCES = [
    (PASTE, "what I paste below"),
    (FILE, "a file I choose"),
    (ENVIRONMENT, "the environment of the console (AKAMAI_HOST and so on)"),
]


class SecretText(forms.Textarea):
    """Shows nothing of what was typed before."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class ConnectForm(forms.Form):
    source = forms.ChoiceField(label="The credential is in", choices=SOURCES, initial=PASTE, widget=forms.RadioSelect)
    edgerc = forms.CharField(
        label="Contents of .edgerc",
        required=False,
        widget=SecretText(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text="As Akamai's Control Center offers it for download. It is stored encrypted and never shown again.",
    )
    file = forms.FileField(label="File", required=False)
    section = forms.CharField(
        label="Section", max_length=60, initial=DEFAULT_SECTION, help_text="The name in square brackets in the file."
    )
    account_switch_key = forms.CharField(
        label="Account switch key",
        max_length=100,
        required=False,
        help_text="Only when the API client acts for another account than its own.",
    )

    def credential(self, environment: Mapping[str, str]) -> EdgeGridCredential:
        """From where ``source`` says. Raises BadEdgerc."""
        source, section = self.cleaned_data["source"], self.cleaned_data["section"]
        if source == ENVIRONMENT:
            return read_environment(environment, section)
        pasted = self.cleaned_data["edgerc"]
        if source == FILE or (self.cleaned_data["file"] and not pasted.strip()):
            return parse_edgerc(self._text(), section)
        return parse_edgerc(pasted, section)

    def _text(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            raise BadEdgerc("Choose the file.")
        if file.size > LARGEST_FILE:
            raise BadEdgerc("This is too long for an .edgerc file.")
        try:
            text: str = file.read().decode("utf-8")
        except UnicodeDecodeError:
            raise BadEdgerc("This is not a text file.") from None
        return text


class PlaceForm(forms.Form):
    edgeworker_id = forms.IntegerField(
        label="EdgeWorker",
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="Its number, as Akamai shows it. Left empty, the target uses one of its own, and makes it.",
    )
    replaces = forms.BooleanField(
        label="What runs on that EdgeWorker now may be replaced by the code of this target", required=False
    )
    namespace = forms.CharField(
        label="EdgeKV namespace", max_length=32, help_text="Letters, digits, hyphens and underscores."
    )
    makes_namespace = forms.BooleanField(label="Make the namespace where it is missing", required=False)

    @property
    def place(self) -> Place:
        return Place(**{one.name: self.cleaned_data[one.name] for one in fields(Place)})


class NewEdgeForm(ConnectForm, PlaceForm):
    """``environments``: short names and names."""

    name = forms.CharField(label="Name", max_length=100, help_text="What people read.")
    slug = forms.SlugField(
        label="Short name", max_length=63, help_text="In addresses and labels; it cannot be changed."
    )
    group_id = forms.IntegerField(
        label="Group",
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The number of the group at Akamai. Left empty, the only one the API client sees.",
    )
    contract_id = forms.CharField(
        label="Contract", required=False, max_length=60, help_text="Left empty, the first that EdgeWorkers is on."
    )
    probe_url = forms.CharField(
        label="Call the doors at",
        required=False,
        max_length=253,
        help_text="Left empty, at their own hosts. Before these point to Akamai: the edge host name.",
    )
    resource_tier_id = forms.ChoiceField(
        label="Resource tier",
        choices=TIERS,
        help_text="It cannot be changed once the EdgeWorker is made.",
    )

    def __init__(self, *args: Any, environments: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"] = forms.ChoiceField(
            label="Environment", choices=environments, help_text="Each has one edge."
        )

    @property
    def config(self) -> dict[str, object]:
        """What an operator says of it; what was left empty is not said."""
        names = ("group_id", "contract_id", "probe_url")
        said = {name: self.cleaned_data[name] for name in names if self.cleaned_data[name]}
        return {**said, "resource_tier_id": int(self.cleaned_data["resource_tier_id"])}
