"""A real API server in the stand-in's place: etcd and ``kube-apiserver`` as processes of this machine, on loopback.

``deploy/realcluster/build.sh`` builds them.
"""

from __future__ import annotations

import atexit
import base64
import json
import signal
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from apps.localcluster.kinds import BUILT_IN
from tests.localcluster.certificates import own_certificate
from tests.localcluster.cluster import ADMIN, LocalCluster, Obj, eventually
from tests.ports import free_port, free_ports

PATIENCE = 120.0
MANY = 500
"""So many objects are loaded several at a time; fewer in their order."""

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MASTERS = {ADMIN: {"user": "admin", "groups": ["system:masters"]}}
NO_SUCH_FAULT = "A real API server has no trouble on demand"


class RealCluster(LocalCluster):
    """Of the stand-in's settings it honours ``tokens`` and ``namespaces``."""

    def __init__(self, programs: Path, directory: Path, **settings: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        certificate, _ = own_certificate(directory)
        super().__init__(directory, certificate=str(certificate))
        self._programs, self._etcd_ports = programs, free_ports(2)
        self._tokens: Mapping[str, Any] = settings.get("tokens", MASTERS)
        self._namespaces: Iterable[str] = settings.get("namespaces", ("default", "shop"))
        self._beside: list[subprocess.Popen[bytes]] = []
        self._paths = {(one.api_version, one.kind): _home(one.group, "v1", one.plural) for one in BUILT_IN}
        self._write_files()
        atexit.register(self.stop)

    @property
    def etcd(self) -> str:
        return f"http://127.0.0.1:{self._etcd_ports[0]}"

    @property
    def kubeconfig(self) -> str:
        authority = base64.b64encode(self.ca_pem.encode()).decode()
        place = {"server": self.url, "certificate-authority-data": authority}
        said = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": place}],
            "users": [{"name": "admin", "user": {"token": ADMIN}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
            "current-context": "real",
        }
        return json.dumps(said)

    # -- processes -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        if not self._beside:
            self._beside.append(self._run("etcd", self._etcd_flags()))
        self._process = self._run("kube-apiserver", self._flags())
        eventually(self.is_ready, patience=PATIENCE)
        if len(self._beside) == 1:
            self._beside.append(self._run("kube-controller-manager", self._manager_flags()))
            self._furnish()

    def is_ready(self) -> bool:
        try:
            return bool(self.call("GET", "/readyz").status_code == 200)
        except (requests.ConnectionError, requests.Timeout):
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError((self.directory / "kube-apiserver.log").read_text()[-3000:]) from None
            return False

    def stop(self) -> None:
        for one in (self._process, *reversed(self._beside)):
            if one is not None and one.poll() is None:
                one.send_signal(signal.SIGTERM)
                one.wait(PATIENCE)

    def _run(self, program: str, flags: Iterable[str]) -> subprocess.Popen[bytes]:
        log = (self.directory / f"{program}.log").open("ab")
        return subprocess.Popen([str(self._programs / program), *flags], stdout=log, stderr=log, cwd=self.directory)

    def _etcd_flags(self) -> list[str]:
        peer = f"http://127.0.0.1:{self._etcd_ports[1]}"
        return [
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={self.etcd}",
            f"--advertise-client-urls={self.etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def _flags(self) -> list[str]:
        account_key = self.directory / "accounts.key"
        return [
            f"--etcd-servers={self.etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._address.rsplit(':', 1)[1]}",
            "--insecure-port=0",
            # Nobody calls it there: the address must be one of a network, and this is kept for examples.
            "--advertise-address=192.0.2.1",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={self.directory / 'server.crt'}",
            f"--tls-private-key-file={self.directory / 'server.key'}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={account_key}",
            f"--service-account-signing-key-file={account_key}",
            "--service-cluster-ip-range=10.96.0.0/24",
        ]

    def _manager_flags(self) -> list[str]:
        """What a cluster needs for namespaces to go, and for accounts to have their tokens; nothing that runs pods."""
        return [
            f"--kubeconfig={self.directory / 'kubeconfig'}",
            "--controllers=namespace,serviceaccount,serviceaccount-token,garbagecollector",
            f"--service-account-private-key-file={self.directory / 'accounts.key'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            "--port=0",
        ]

    def _write_files(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        text = key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
        (self.directory / "accounts.key").write_bytes(text)
        rows = [
            f'{token},{said["user"]},{said["user"]},"{",".join(said.get("groups", ()))}"\n'
            for token, said in self._tokens.items()
        ]
        (self.directory / "tokens.csv").write_text("".join(rows))
        (self.directory / "kubeconfig").write_text(self.kubeconfig)

    def _furnish(self) -> None:
        for name in self._namespaces:
            self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for said in self._tokens.values():
            for rule in said.get("rules", ()):
                self._allow(said["user"], rule)

    def _allow(self, user: str, rule: Mapping[str, Any]) -> None:
        allowed = {name: rule[name] for name in ("apiGroups", "resources", "verbs")}
        group = "rbac.authorization.k8s.io"
        subject = {"kind": "User", "name": user, "apiGroup": group}
        for namespace in rule["namespaces"]:
            home = f"/apis/{group}/v1/namespaces/{namespace}"
            meta = {"metadata": {"name": user}}
            self.call("POST", f"{home}/roles", {**meta, "rules": [allowed]})
            bound = {"roleRef": {"kind": "Role", "name": user, "apiGroup": group}, "subjects": [subject]}
            self.call("POST", f"{home}/rolebindings", {**meta, **bound})

    # -- what a test can ask of it ---------------------------------------------------------------------------------
    def since(self, minor: int, *, custom: bool = False) -> None:
        said = self.call("GET", "/version").json()["gitVersion"]
        if int(said.split(".")[1]) < minor:
            pytest.skip(f"Kubernetes 1.{minor} brought it, and this is {said}")

    def standin(self) -> None:
        pytest.skip("It is the stand-in's alone")

    def faults(self, *rules: Mapping[str, object], admission: Iterable[Mapping[str, object]] = ()) -> None:
        if rules or admission:
            pytest.skip(NO_SUCH_FAULT)

    def control(self, what: str, body: Mapping[str, object]) -> None:
        pytest.skip(NO_SUCH_FAULT)

    def forget(self) -> None:
        """Out of the store, and out of the server's memory by beginning it anew."""
        self.forget_pages()
        self.kill()
        self.start()

    def forget_pages(self) -> None:
        self.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"generateName": "moment-"}})
        now = requests.post(f"{self.etcd}/v3/kv/range", json={"key": "AA=="}, timeout=20).json()["header"]
        compacted = requests.post(f"{self.etcd}/v3/kv/compaction", json={"revision": now["revision"]}, timeout=20)
        compacted.raise_for_status()

    def account_keys(self) -> Obj | None:
        return dict(self.call("GET", "/openid/v1/jwks").json())

    def define(self, definition: Obj) -> None:
        super().define(definition)
        self._learn(definition)

    def load(self, objects: Iterable[Mapping[str, Any]], manager: str = "loader") -> None:
        rows = list(objects)
        with ThreadPoolExecutor(8 if len(rows) >= MANY else 1) as pool:
            list(pool.map(lambda one: self._load(dict(one), manager), rows))
        for one in rows:
            if one["kind"] == "CustomResourceDefinition":
                self._learn(one)

    def _load(self, obj: Obj, manager: str) -> None:
        meta = obj["metadata"]
        path = self._paths[obj["apiVersion"], obj["kind"]].format(namespace=meta.get("namespace"))
        answer = self.apply(f"{path}/{meta['name']}", obj, manager, force="true")
        assert answer.status_code in (200, 201), answer.text

    def _learn(self, definition: Mapping[str, Any]) -> None:
        spec = definition["spec"]
        for version in spec["versions"]:
            home = _home(spec["group"], version["name"], spec["names"]["plural"])
            self._paths[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = home
            served = home.replace("/namespaces/{namespace}", "")
            eventually(lambda served=served: self.call("GET", served).status_code == 200, patience=PATIENCE)


def _home(group: str, version: str, plural: str) -> str:
    base = f"/apis/{group}/{version}" if group else f"/api/{version}"
    whole = ("namespaces", "clusterroles", "clusterrolebindings", "customresourcedefinitions")
    return f"{base}/{plural}" if plural in whole else f"{base}/namespaces/{{namespace}}/{plural}"
