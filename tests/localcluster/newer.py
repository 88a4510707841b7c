"""A newer server of custom kinds behind a real API server, as an aggregated one: theirs is then what it does.

Debian's newest ``apiextensions-apiserver`` is years younger than the API server that Debian's sources still build.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tests.localcluster.cluster import eventually
from tests.localcluster.real import PATIENCE, RealCluster
from tests.ports import free_port

PROGRAM = "apiextensions-apiserver"
GROUPS = "/apis/apiregistration.k8s.io/v1/apiservices"
SERVICE = {"namespace": "kube-system", "name": "real"}
VOUCHED = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
"""Where the older server says how it vouches for who calls; the newer one reads it once, at its start."""

OFF = "MutatingAdmissionPolicy,ValidatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionWebhook"
"""What the older server has no configuration for."""


class NewerCluster(RealCluster):
    def start(self) -> None:
        first = not self._beside
        super().start()
        if not first:
            for path in self._pointed:
                eventually(lambda path=path: self.call("GET", path).status_code == 200, patience=PATIENCE)
        else:
            self._pointed: list[str] = []
            self._behind = free_port()
            eventually(lambda: "requestheader-client-ca-file" in self.call("GET", VOUCHED).text, patience=PATIENCE)
            self._beside.append(self._run(PROGRAM, self._newer_flags()))
            self._point("apiextensions.k8s.io", "v1")

    def _flags(self) -> list[str]:
        certificate = self.directory / "server.crt"
        return [
            *super()._flags(),
            f"--proxy-client-cert-file={certificate}",
            f"--proxy-client-key-file={self.directory / 'server.key'}",
            f"--requestheader-client-ca-file={certificate}",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        ]

    def _newer_flags(self) -> list[str]:
        kubeconfig = self.directory / "kubeconfig"
        return [
            f"--etcd-servers={self.etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._behind}",
            f"--tls-cert-file={self.directory / 'server.crt'}",
            f"--tls-private-key-file={self.directory / 'server.key'}",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--enable-priority-and-fairness=false",
            f"--disable-admission-plugins={OFF}",
        ]

    def _point(self, group: str, version: str) -> None:
        """Has calls of that group answered by the newer server."""
        home = f"/api/v1/namespaces/{SERVICE['namespace']}/services"
        spec = {"type": "ExternalName", "externalName": "localhost"}
        self.call("POST", home, {"metadata": {"name": SERVICE["name"]}, "spec": spec})
        name = f"{version}.{group}"
        there = self.call("GET", f"{GROUPS}/{name}").json()
        body = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name, "resourceVersion": there.get("metadata", {}).get("resourceVersion")},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 2000,
                "versionPriority": 15,
                "caBundle": base64.b64encode(self.ca_pem.encode()).decode(),
                "service": {**SERVICE, "port": self._behind},
            },
        }
        done = self.call(*(("PUT", f"{GROUPS}/{name}") if "spec" in there else ("POST", GROUPS)), body)
        assert done.status_code in (200, 201), done.text
        self._pointed.append(f"/apis/{group}/{version}")
        eventually(lambda: '"reason":"Passed"' in self.call("GET", f"{GROUPS}/{name}").text, patience=PATIENCE)

    def since(self, minor: int, *, custom: bool = False) -> None:
        if not custom:
            super().since(minor)

    def _learn(self, definition: Mapping[str, Any]) -> None:
        for version in definition["spec"]["versions"]:
            self._point(definition["spec"]["group"], version["name"])
        super()._learn(definition)
