"""What an operator types to connect a target. A secret is never put back into the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.rollout.akamai.edgerc import DEFAULT_SECTION, LARGEST_FILE, BadEdgerc, EdgeGridCredential, parse_edgerc
from apps.rollout.akamai.edgerc import from_environment as read_environment

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
        return parse_edgerc(self._text() if source == FILE else self.cleaned_data["edgerc"], section)

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
