"""The kinds of Kubernetes objects that may be brought to a cluster, and how an artifact's path names one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apps.rollout.drivers.base import VendorError

NO_NAMESPACE, CORE, SUFFIX = "-", "core", ".json"
"""How a path says that there is no namespace, or no group. All kinds below have both."""

TRAFFIC_TARGETS = "traffictargets.access.smi-spec.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """``rank``: kinds with a lower one are applied first and deleted last.

    ``opens``: an object of the kind gives access, so that deleting it takes some away. The others narrow, or shape what
    is let through. ``data``: it is read by a program as a whole, which decides by it alone.
    """

    group: str
    version: str
    kind: str
    plural: str
    rank: int
    opens: bool = False
    data: bool = False

    @property
    def key(self) -> str:
        """``traffictargets.access.smi-spec.io``"""
        return f"{self.plural}.{self.group or CORE}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def home(self, namespace: str) -> str:
        """``apis/access.smi-spec.io/v1alpha2/namespaces/shop/traffictargets``, below the address of a server"""
        return f"{'apis' if self.group else 'api'}/{self.api_version}/namespaces/{namespace}/{self.plural}"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """The objects of one kind in one namespace; ``kind`` is a key of ``KINDS``."""

    kind: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind}"


@dataclass(frozen=True, slots=True)
class Ref:
    kind: Kind
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.kind.key}/{self.name}{SUFFIX}"

    @property
    def scope(self) -> Scope:
        return Scope(self.kind.key, self.namespace)

    @property
    def words(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


_GATEWAY, _NGF = "gateway.networking.k8s.io", "gateway.nginx.org"

KINDS: dict[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind("specs.smi-spec.io", "v1alpha3", "HTTPRouteGroup", "httproutegroups", 10, opens=True),
        Kind("specs.smi-spec.io", "v1alpha3", "TCPRoute", "tcproutes", 10, opens=True),
        Kind("access.smi-spec.io", "v1alpha2", "TrafficTarget", "traffictargets", 20, opens=True),
        Kind("specs.smi.nginx.com", "v1alpha2", "RateLimit", "ratelimits", 30),
        Kind("specs.smi.nginx.com", "v1alpha1", "CircuitBreaker", "circuitbreakers", 30),
        Kind("split.smi-spec.io", "v1alpha3", "TrafficSplit", "trafficsplits", 30),
        Kind("", "v1", "ConfigMap", "configmaps", 35, data=True),
        Kind("", "v1", "Secret", "secrets", 35, data=True),
        Kind("", "v1", "Service", "services", 36),
        Kind("apps", "v1", "Deployment", "deployments", 37),
        Kind("k8s.nginx.org", "v1", "Policy", "policies", 40),
        Kind("k8s.nginx.org", "v1", "VirtualServerRoute", "virtualserverroutes", 50, opens=True),
        Kind("k8s.nginx.org", "v1", "VirtualServer", "virtualservers", 51, opens=True),
        Kind(_GATEWAY, "v1", "Gateway", "gateways", 60, opens=True),
        Kind(_GATEWAY, "v1beta1", "ReferenceGrant", "referencegrants", 61, opens=True),
        Kind(_NGF, "v1alpha1", "AuthenticationFilter", "authenticationfilters", 62),
        Kind(_NGF, "v1alpha1", "SnippetsFilter", "snippetsfilters", 62),
        Kind(_GATEWAY, "v1", "HTTPRoute", "httproutes", 63, opens=True),
        Kind(_GATEWAY, "v1", "BackendTLSPolicy", "backendtlspolicies", 64),
        Kind(_NGF, "v1alpha1", "RateLimitPolicy", "ratelimitpolicies", 64),
        Kind(_NGF, "v1alpha1", "SnippetsPolicy", "snippetspolicies", 64),
        Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", 70),
    )
}
"""By ``key``. What an object says under its own ``apiVersion`` must be the version here."""

_VERIFIER = ("configmaps.core", "services.core", "deployments.apps")
"""What our verifier consists of, which ways in ask."""

EMITTER_KINDS: dict[str, tuple[str, ...]] = {
    "smi": tuple(key for key, kind in KINDS.items() if kind.rank <= 30),
    "nic": (*_VERIFIER, *(key for key, kind in KINDS.items() if kind.group == "k8s.nginx.org")),
    "gateway": (*_VERIFIER, *(key for key, kind in KINDS.items() if kind.group in (_GATEWAY, _NGF))),
    "networkpolicy": ("networkpolicies.networking.k8s.io",),
}
"""Which kinds a cluster that takes an emitter has to serve: those that emitter may write. See ``kinds_for``."""


def kinds_for(emitters: Iterable[str], *, plus: bool = False) -> tuple[str, ...]:
    """Keys of the kinds these emitters write, each once. Secrets are among them only for NGINX Plus, which has the
    public keys of tokens from one: without it nobody has to let us read the Secrets of a namespace.
    """
    found = [key for emitter in emitters for key in EMITTER_KINDS[emitter]]
    if plus and "k8s.nginx.org" in {KINDS[key].group for key in found}:
        found.append("secrets.core")
    return tuple(dict.fromkeys(sorted(found, key=lambda key: KINDS[key].rank)))


def scopes_of(kinds: Sequence[str], namespaces: Sequence[str], verifier: str = "") -> list[Scope]:
    """Each kind in each namespace; what our verifier consists of in its own namespace only, where that is known."""
    inside = [(kind, (verifier,) if verifier and kind in _VERIFIER else tuple(namespaces)) for kind in kinds]
    return [Scope(kind, namespace) for kind, homes in inside for namespace in homes]


def ref_of(path: str) -> Ref:
    """Raises VendorError of kind ``unknown_kind``: the path names nothing that is brought to a cluster."""
    namespace, _, rest = path.partition("/")
    key, _, name = rest.partition("/")
    kind = KINDS.get(key)
    if kind is None or namespace in ("", NO_NAMESPACE) or not name.endswith(SUFFIX):
        raise VendorError(path, 0, "is no kind of object that is brought to a cluster", kind="unknown_kind")
    return Ref(kind, namespace, name.removesuffix(SUFFIX))
