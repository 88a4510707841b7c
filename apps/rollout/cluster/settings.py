"""What an operator says of a Kubernetes cluster, and what is wrong with it: the ``config`` of such a target."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from apps.compiler.surroundings import CLUSTER_EMITTERS, ClusterSurroundings

ACCESS_CONTROL, MTLS = ("allow", "deny"), ("off", "permissive", "strict")
MOST_NAMESPACES = 100
SMI, NETWORK = "smi", "networkpolicy"
END_OF_SALE = (
    "NGINX Service Mesh is end of sale since July 2023 and its SMI objects have no successor under that name: what it"
    " enforces today goes on, but plan the way out."
)
DEFAULTS = ClusterSurroundings(cluster="", console_url="", trust_domain="")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,63}")
_VERIFIER = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9-]{1,63}:\d{1,5}")
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")
_GATEWAY = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}")
_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """``namespaces`` are those that may be touched; the rest is as in ``ClusterSurroundings``. ``edge`` is the slug of
    the edge target whose context tokens arrive here, or empty. ``direct`` are services, by slug, whose pods are reached
    from outside past any ingress."""

    emitters: tuple[str, ...]
    namespaces: tuple[str, ...]
    access_control: str = "allow"
    mtls: str = "permissive"
    plus: bool = False
    verifier: str = ""
    gateway: str = ""
    ingress_class: str = "nginx"
    tls_secret: str = ""
    client_ca_secret: str = ""
    ingress: str = DEFAULTS.ingress
    verifier_image: str = DEFAULTS.verifier_image
    upstream_tls_secret: str = ""
    upstream_ca_secret: str = ""
    isolated: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    edge: str = ""

    @property
    def config(self) -> dict[str, object]:
        """As it is kept with the target."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    @property
    def verifier_namespace(self) -> str:
        """Where our verifier runs; empty where there is none."""
        return self.verifier.partition("/")[0]

    @property
    def closes_by_first(self) -> bool:
        """Whether the first object about a service closes it to everybody it does not name."""
        return SMI in self.emitters and self.access_control == "allow"


NO_LONGER = {
    NETWORK: "Without NetworkPolicy everybody in the cluster can connect to the pods it guards now, unless a baseline"
    " stands in their namespace.",
    SMI: "Without SMI nobody can call through the mesh what its targets guard now: one that lets nobody in stays there"
    " until somebody deletes it by hand.",
}
"""What becomes of calls when a cluster no longer takes something."""


def what_ends(before: ClusterSettings, after: ClusterSettings) -> tuple[str, ...]:
    """What a change of settings does besides, in sentences; nothing where it takes nothing off that guards."""
    return tuple(words for name, words in NO_LONGER.items() if name in before.emitters and name not in after.emitters)


def settings_of(config: Mapping[str, object]) -> ClusterSettings:
    """What a target's ``config`` says; what it does not say is as if nobody had chosen."""
    known = {one.name: config[one.name] for one in fields(ClusterSettings) if one.name in config}
    listed = {name: _names(known.get(name)) for name in ("emitters", "namespaces", "isolated", "direct")}
    return ClusterSettings(**{**known, **listed})  # type: ignore[arg-type]  # complaints() saw to the types


def complaints(config: Mapping[str, object], slug: str = "cluster") -> dict[str, list[str]]:
    """What is wrong, by name; empty when nothing is. The short name is a label on every object."""
    found = {**_list_complaints(config), **_text_complaints(config)}
    if not _NAME.fullmatch(slug):
        found["slug"] = ["The short name of a cluster has lower-case letters, digits and hyphens."]
    if "plus" in config and not isinstance(config["plus"], bool):
        found["plus"] = ["This is true or false."]
    return found


def _list_complaints(config: Mapping[str, object]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    emitters, namespaces = _names(config.get("emitters")), _names(config.get("namespaces"))
    if not emitters or set(emitters) - set(CLUSTER_EMITTERS):
        found["emitters"] = [f"Choose some of {', '.join(CLUSTER_EMITTERS)}."]
    for name, names in (("namespaces", namespaces), ("isolated", _names(config.get("isolated")))):
        if any(not _NAME.fullmatch(one) for one in names) or len(names) > MOST_NAMESPACES:
            found[name] = ["Namespaces have lower-case letters, digits and hyphens."]
    if not namespaces:
        found["namespaces"] = ["Name at least one: nothing outside them is touched."]
    if any(not _SERVICE.fullmatch(one) for one in _names(config.get("direct"))):
        found["direct"] = ["Write short names of services."]
    strange = set(_names(config.get("isolated"))) - set(namespaces)
    if strange and "isolated" not in found:
        found["isolated"] = [f"{', '.join(sorted(strange))}: not among the namespaces that may be touched."]
    return found


def _text_complaints(config: Mapping[str, object]) -> dict[str, list[str]]:
    patterns = {
        "verifier": (_VERIFIER, "Write namespace/service:port, such as sallyport/verifier:8080."),
        "gateway": (_GATEWAY, "Write namespace/name of the Gateway."),
        "ingress_class": (_NAME, "This is the name of an IngressClass."),
        "tls_secret": (_SECRET, "This is the name of a Secret."),
        "client_ca_secret": (_SECRET, "This is the name of a Secret."),
        "upstream_tls_secret": (_SECRET, "This is the name of a Secret."),
        "upstream_ca_secret": (_SECRET, "This is the name of a Secret."),
        "ingress": (_ACCOUNT, "Write namespace/service account of the ingress controller."),
        "verifier_image": (_IMAGE, "This is the name of a container image."),
        "edge": (_NAME, "This is the short name of an edge target."),
    }
    found: dict[str, list[str]] = {}
    for name, (pattern, complaint) in patterns.items():
        value = config.get(name, "")
        if not isinstance(value, str) or (value and not pattern.fullmatch(value)):
            found[name] = [complaint]
    for name, values in (("access_control", ACCESS_CONTROL), ("mtls", MTLS)):
        if config.get(name, values[0]) not in values:
            found[name] = [f"Choose one of {', '.join(values)}."]
    if bool(config.get("upstream_tls_secret")) != bool(config.get("upstream_ca_secret")):
        lacking = "upstream_ca_secret" if config.get("upstream_tls_secret") else "upstream_tls_secret"
        found.setdefault(lacking, ["Name both: what the ingress shows to doors, and whom it believes there."])
    home = str(config.get("verifier", "")).partition("/")[0]
    if home and "verifier" not in found and home not in _names(config.get("namespaces")):
        found["verifier"] = [f"{home}: not among the namespaces that may be touched."]
    if "gateway" in _names(config.get("emitters")) and not config.get("gateway"):
        found["gateway"] = ["Gateway API objects need to know their Gateway: namespace/name."]
    return found


def _names(value: object) -> tuple[str, ...]:
    """In order and once; anything but a list of texts is nothing."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple(sorted({one for one in value if isinstance(one, str)}))
