"""How a cluster's API server is reached: out of a kubeconfig, or an address with a token and a certificate authority.

Only what stands in the file itself is read: paths, commands (``exec``) and ``auth-provider`` are refused, since whoever
uploads a file must not make the console open another one or run a program. Complaints name the place, never a value.
The file's form is that of "Organizing Cluster Access Using kubeconfig Files" in the Kubernetes documentation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apps.audit.errors import InvalidInput

LARGEST_FILE = 256 * 1024
IN_CLUSTER = "in_cluster"
PLAIN = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
"""Without TLS only on this machine, and only for a target that a command gave this address."""

_SERVER = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?(/[A-Za-z0-9._~\-/]*)?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?")
_TOKEN = re.compile(r"[\x21-\x7e]{8,16384}")
_RUNS = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username", "password")
_RUNS_OF_CLUSTER = ("certificate-authority", "proxy-url")


class BadKubeconfig(InvalidInput):
    code = "bad_kubeconfig"
    default_message = "The connection cannot be read."

    def __init__(self, complaint: str, field_name: str = "kubeconfig") -> None:
        super().__init__(complaint, fields={field_name: [complaint]})


@dataclass(frozen=True, slots=True)
class ClusterConnection:
    """``server`` is empty for the cluster the console itself runs in, whose files are read anew for each connection.

    ``ca``, ``client_certificate`` and ``client_key`` are PEM; without ``ca`` the system's authorities are believed.
    ``source`` says where it came from, in words that may be recorded.
    """

    server: str
    ca: str = ""
    token: str = field(default="", repr=False)
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    tls_server_name: str = ""
    source: str = ""

    @property
    def secret(self) -> dict[str, str]:
        """What is kept encrypted."""
        return {
            "token": self.token,
            "ca": self.ca,
            "client_certificate": self.client_certificate,
            "client_key": self.client_key,
        }


def inside() -> ClusterConnection:
    """The cluster the console runs in, by its own service account."""
    return ClusterConnection("", source="the console's own service account")


def from_token(server: str, token: str, ca: str) -> ClusterConnection:
    """Raises BadKubeconfig, on the field concerned."""
    given = token.strip()
    if not _TOKEN.fullmatch(given):
        raise BadKubeconfig("A token is one line of printable characters.", "token")
    return ClusterConnection(
        _server(server, "server"), ca=_pem(ca.strip(), "ca") if ca.strip() else "", token=given, source="a token"
    )


def parse_kubeconfig(text: str, context: str = "") -> ClusterConnection:
    """One context of the file, by default its current one. Raises BadKubeconfig."""
    document = _document(text)
    name = context.strip() or str(document.get("current-context") or "")
    if not name:
        raise BadKubeconfig("The file names no current context: say which one.")
    chosen = _entry(document, "contexts", "context", name)
    cluster = _entry(document, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _entry(document, "users", "user", str(chosen.get("user", "")))
    _require_whole(cluster, user)
    token = str(user.get("token") or "").strip()
    certificate, key = _decoded(user, "client-certificate-data"), _decoded(user, "client-key-data")
    if token and not _TOKEN.fullmatch(token):
        raise BadKubeconfig("The token of the user holds a character that no token has.")
    if not token and not (certificate and key):
        raise BadKubeconfig("The user has neither a token nor a client certificate with its key.")
    if key:
        _require_key(key)
    return ClusterConnection(
        server=_server(str(cluster.get("server") or ""), "kubeconfig"),
        ca=_pem(_decoded(cluster, "certificate-authority-data"), "kubeconfig"),
        token=token,
        client_certificate=_pem(certificate, "kubeconfig"),
        client_key=key,
        tls_server_name=str(cluster.get("tls-server-name") or "")[:253],
        source=f"a kubeconfig, context {name}"[:200],
    )


def _document(text: str) -> Mapping[str, Any]:
    if len(text) > LARGEST_FILE:
        raise BadKubeconfig("This is too long for a kubeconfig.")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadKubeconfig("This is not YAML.") from None
    if not isinstance(found, dict):
        raise BadKubeconfig("This is not a kubeconfig: it has no clusters and users.")
    return found


def _entry(document: Mapping[str, Any], plural: str, singular: str, name: str) -> Mapping[str, Any]:
    rows = document.get(plural)
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and str(row.get("name", "")) == name and isinstance(row.get(singular), dict):
            found: Mapping[str, Any] = row[singular]
            return found
    raise BadKubeconfig(f"The file has no {singular} of the name {name[:100]}." if name else f"No {singular} is named.")


def _require_whole(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    """What points out of the file is refused, as is a connection nobody checks."""
    if cluster.get("insecure-skip-tls-verify"):
        raise BadKubeconfig("The file says not to check the server's certificate. Give the certificate authority.")
    outside = [name for name in _RUNS_OF_CLUSTER if cluster.get(name)] + [name for name in _RUNS if user.get(name)]
    if outside:
        raise BadKubeconfig(
            f"The file has {', '.join(outside)}. Only what is in the file itself is read: use a token, and"
            " certificate-authority-data (kubectl config view --raw --flatten writes it so)."
        )


def _decoded(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if not value:
        return ""
    try:
        return base64.b64decode(str(value), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise BadKubeconfig(f"{name} is not base64 of a PEM text.") from None


def _pem(text: str, field_name: str) -> str:
    """Certificates, one or more; empty stays empty."""
    if not text:
        return ""
    try:
        x509.load_pem_x509_certificates(text.encode("ascii"))
    except (ValueError, UnicodeEncodeError):
        raise BadKubeconfig("A certificate is not PEM.", field_name) from None
    return text


def _require_key(text: str) -> None:
    try:
        load_pem_private_key(text.encode("ascii"), password=None)
    except (ValueError, TypeError):
        raise BadKubeconfig("The client key is not an unencrypted PEM key.") from None


def _server(given: str, field_name: str) -> str:
    server = given.strip().rstrip("/")
    if not _SERVER.fullmatch(server) or not (server.startswith("https://") or server.startswith(PLAIN)):
        raise BadKubeconfig("The server is an address such as https://10.0.0.1:6443.", field_name)
    return server
