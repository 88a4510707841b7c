"""What an operator types about a cluster. A secret is never put back into the page."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.audit.errors import InvalidInput
from apps.compiler.surroundings import CLUSTER_EMITTERS
from apps.rollout.akamai.forms import SecretText
from apps.rollout.cluster.settings import ACCESS_CONTROL, DEFAULTS, MTLS, ClusterSettings
from apps.rollout.services.cluster.connecting import AGENT, IN_CLUSTER, KUBECONFIG, LARGEST_FILE, TOKEN, Way

EMITTER_WORDS = {
    "smi": "SMI objects, for NGINX Service Mesh (end of sale)",
    "nic": "VirtualServer and Policy, for NGINX Ingress Controller",
    "networkpolicy": "NetworkPolicy, enforced by the cluster's network",
    "gateway": "Gateway API, for NGINX Gateway Fabric",
}
WAYS = [
    (KUBECONFIG, "a kubeconfig"),
    (TOKEN, "its address, a token and a certificate authority"),
    (IN_CLUSTER, "it is the cluster the console runs in"),
    (AGENT, "not at all: an agent in the cluster calls the console"),
]


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted(set(text.replace(",", " ").split())))


class WayForm(forms.Form):
    """How the cluster is reached."""

    by = forms.ChoiceField(
        label="The console reaches it by", choices=WAYS, initial=KUBECONFIG, widget=forms.RadioSelect
    )
    kubeconfig = forms.CharField(
        label="Contents of a kubeconfig",
        required=False,
        max_length=LARGEST_FILE,
        widget=SecretText(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text="With its certificates and token inside: kubectl config view --raw --flatten. It is kept encrypted.",
    )
    file = forms.FileField(label="Or a file", required=False)
    context = forms.CharField(
        label="Context", required=False, max_length=200, help_text="Empty: the file's current one."
    )
    server = forms.CharField(label="Address", required=False, max_length=300, help_text="https://10.0.0.1:6443")
    token = forms.CharField(
        label="Token",
        required=False,
        max_length=16_384,
        widget=SecretText(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text="Of the service account that the manifest makes. It is stored encrypted and never shown again.",
    )
    ca = forms.CharField(
        label="Certificate authority",
        required=False,
        max_length=65_536,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        help_text="PEM. Empty: an authority that this machine believes anyway.",
    )

    def way(self) -> Way:
        """Raises InvalidInput."""
        given = self.cleaned_data
        return Way(
            by=given["by"],
            kubeconfig=self._text() or given["kubeconfig"],
            context=given["context"],
            server=given["server"],
            token=given["token"],
            ca_pem=given["ca"],
        )

    def _text(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        try:
            text: str = file.read(LARGEST_FILE + 1).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInput(fields={"file": ["This is not a text file."]}) from None
        return text


class SettingsForm(forms.Form):
    """What is compiled for it. Names as in ``ClusterSettings``."""

    namespaces = forms.CharField(
        label="Namespaces we may touch", max_length=4000, help_text="With spaces between. Nothing outside is read."
    )
    emitters = forms.MultipleChoiceField(
        label="What it enforces with",
        choices=[(name, EMITTER_WORDS[name]) for name in CLUSTER_EMITTERS],
        widget=forms.CheckboxSelectMultiple,
    )
    access_control = forms.ChoiceField(
        label="Access control mode of the mesh",
        choices=[(one, one) for one in ACCESS_CONTROL],
        help_text="accessControlMode of NGINX Service Mesh; allow unless it was set otherwise.",
    )
    mtls = forms.ChoiceField(
        label="mTLS mode of the mesh",
        choices=[(one, one) for one in MTLS],
        initial="permissive",
        help_text="Only strict proves to the mesh who calls.",
    )
    plus = forms.BooleanField(label="The ingress controller runs NGINX Plus", required=False)
    ingress_class = forms.CharField(
        label="Ingress class",
        required=False,
        max_length=63,
        initial="nginx",
        help_text="Whose controller takes the objects.",
    )
    ingress = forms.CharField(
        label="Who the ingress is", max_length=320, initial=DEFAULTS.ingress, help_text="namespace/service account"
    )
    verifier = forms.CharField(
        label="Verifier", required=False, max_length=140, help_text="namespace/service:port, where one is installed"
    )
    gateway = forms.CharField(label="Gateway", required=False, max_length=320, help_text="namespace/name")
    tls_secret = forms.CharField(label="Secret with the certificate of hosts", required=False, max_length=253)
    client_ca_secret = forms.CharField(label="Secret with the authority of clients", required=False, max_length=253)
    isolated = forms.CharField(
        label="Namespaces that may send nothing out by themselves", required=False, max_length=4000
    )
    direct = forms.CharField(
        label="Services whose pods are reached from outside past the ingress",
        required=False,
        max_length=4000,
        help_text="Their short names. Approved addresses of outside parties are then let in to them.",
    )
    edge = forms.CharField(
        label="Edge", required=False, max_length=63, help_text="Short name of the edge whose calls arrive here."
    )

    def settings(self, kept: ClusterSettings | None = None) -> ClusterSettings:
        """``kept`` says what the form does not ask for."""
        given: dict[str, Any] = {**self.cleaned_data}
        given["namespaces"], given["isolated"] = _names(given["namespaces"]), _names(given["isolated"])
        given["direct"] = _names(given["direct"])
        given["emitters"] = tuple(sorted(given["emitters"]))
        asked = {name: given[name] for name in SettingsForm.base_fields}
        more = ("verifier_image", "upstream_tls_secret", "upstream_ca_secret") if kept else ()
        return ClusterSettings(**asked, **{name: getattr(kept, name) for name in more})


def told(chosen: ClusterSettings) -> dict[str, object]:
    """Settings as the form shows them."""
    shown = {name: getattr(chosen, name) for name in SettingsForm.base_fields}
    lists = {name: " ".join(getattr(chosen, name)) for name in ("namespaces", "isolated", "direct")}
    return {**shown, **lists}


class NewClusterForm(WayForm, SettingsForm):
    name = forms.CharField(label="Name", max_length=100, help_text="What people read.")
    slug = forms.SlugField(
        label="Short name", max_length=63, help_text="In addresses and labels; it cannot be changed."
    )
    environment = forms.CharField(label="Environment", required=False, max_length=63, help_text="Empty: the usual one.")
