"""How a cluster's API server is reached and as whom. Nothing here is read from a file, save inside a cluster."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import Cluster, User
from lightkube.core.exceptions import ConfigError

from apps.rollout.drivers.base import VendorError

CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
NAME = "sallyport"

_USER_FILES = ("client-certificate", "client-key", "tokenFile")
_PROGRAMS = ("exec", "auth-provider")


class BadConnection(VendorError):
    """What was given cannot be used to reach a cluster. Nothing was called."""

    def __init__(self, text: str) -> None:
        super().__init__("The connection", 0, text, kind="bad_connection")


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """One of three ways: ``kubeconfig``, ``in_cluster``, or ``url`` with ``token`` and ``ca_pem``.

    ``kubeconfig`` is the text of such a file, ``context`` the name of one of its contexts (``""``: its current one). It
    must hold certificates and tokens itself: it may name no file, and no program to run, since both would be this
    server's. ``in_cluster`` uses the service account of the pod this process runs in. ``ca_pem`` is empty where the
    system's authorities vouch for the server. Plain http is for this machine only. ``proxy`` is a URL; proxies named by
    the environment are not used.
    """

    url: str = ""
    token: str = field(default="", repr=False)
    ca_pem: str = ""
    kubeconfig: str = field(default="", repr=False)
    context: str = ""
    in_cluster: bool = False
    proxy: str = ""
    connect_seconds: float = CONNECT_SECONDS
    read_seconds: float = READ_SECONDS


def server_of(connection: ClusterConnection) -> str:
    """The URL of the API server. Raises BadConnection."""
    return config_of(connection).cluster.server


def config_of(connection: ClusterConnection) -> SingleConfig:
    """Raises BadConnection."""
    try:
        config = _chosen(connection)
    except (ConfigError, KeyError, OSError) as error:
        raise BadConnection(f"lacks something: {error}") from error
    _check_address(config.cluster.server)
    return config if config.user is not None else config._replace(user=User())


def _chosen(connection: ClusterConnection) -> SingleConfig:
    if connection.in_cluster:
        return _picked(KubeConfig.from_service_account(), "")
    if connection.kubeconfig:
        return _from_text(connection.kubeconfig, connection.context)
    authority = base64.b64encode(connection.ca_pem.encode()).decode() if connection.ca_pem else None
    cluster = Cluster(server=connection.url, certificate_auth_data=authority)
    user = User(token=connection.token) if connection.token else User()
    return _picked(KubeConfig.from_one(cluster=cluster, user=user, context_name=NAME), "")


def _picked(config: KubeConfig, context: str) -> SingleConfig:
    found = config.get(context or None)
    if found is None:
        raise BadConnection("names no context")
    return found


def _from_text(text: str, context: str) -> SingleConfig:
    try:
        document = yaml.safe_load(text)
        if not isinstance(document, dict):
            raise BadConnection("is not a kubeconfig: it is no YAML mapping")
        chosen = _picked(KubeConfig.from_dict(document), context)
        _check_kubeconfig(document, chosen)
    except (yaml.YAMLError, msgspec.ValidationError, TypeError, AttributeError) as error:
        raise BadConnection(f"is not a kubeconfig: {type(error).__name__}") from error
    return chosen


def _check_kubeconfig(document: Mapping[str, Any], chosen: SingleConfig) -> None:
    """Of the chosen context only; what else the file holds is never used."""
    users: list[Mapping[str, Any]] = document.get("users") or []
    named = [row["user"] for row in users if row["name"] == chosen.context.user]
    user: Mapping[str, Any] = named[0] if named and named[0] else {}
    for name in _PROGRAMS:
        if user.get(name):
            raise BadConnection(f"wants a program to be run here ({name}); give it a token or a client certificate")
    files = [name for name in _USER_FILES if user.get(name)]
    if chosen.cluster.certificate_auth:
        files.append("certificate-authority")
    if files:
        raise BadConnection(
            f"names files ({', '.join(files)}); put what they hold into it (kubectl config view --flatten)"
        )
    if chosen.cluster.insecure:
        raise BadConnection("switches off the check of the server's certificate (insecure-skip-tls-verify)")


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise BadConnection("names no https address of an API server")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise BadConnection("would send its token unencrypted: use https")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
