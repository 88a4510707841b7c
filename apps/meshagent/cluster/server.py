"""The API server of the cluster an agent is in: each call with a timeout, each failure in the server's own words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from apps.meshagent.cluster.compare import MANAGER
from apps.meshagent.cluster.kinds import Obj, Ref, base_url, group_url, spoken

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CALL_SECONDS = 30
APPLY = "application/apply-patch+yaml"
PAGE = 500
MOST_WORDS = 2000
AT_ONCE = 8
NOT_DECLARED = "failed to create typed patch object"
"""How a server-side apply that does not fit the schema begins: it comes with status 500."""
_MANAGER = re.compile(r'conflict with "(?P<name>[^"]*)"')

Conflicts = tuple[Mapping[str, str], ...]


class ClusterError(Exception):
    """What the API server answered instead; never with a token. ``status`` is 0 where nobody answered."""

    def __init__(self, what: str, status: int, text: str, *, kind: str = "", conflicts: Conflicts = ()) -> None:
        super().__init__(f"{what}: {status} {text}".strip() if status else f"{what}: {text}")
        self.status, self.kind, self.conflicts = status, kind, conflicts

    @property
    def halts(self) -> bool:
        """Whether nothing else should be asked of the server now."""
        return self.kind != "not_declared" and (self.status in (0, 401, 429) or self.status >= 500)


@dataclass(frozen=True, slots=True)
class Server:
    """Files are read anew for each call, since tokens turn over."""

    url: str
    token_file: Path = ACCOUNT / "token"
    ca_file: Path | None = ACCOUNT / "ca.crt"


class Api:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))

    def version(self) -> str:
        return str(self._json("read its version", self._send("GET", "/version")).get("gitVersion", ""))

    def serves(self, key: str) -> bool:
        """Whether the kind is there, in the version that was compiled for."""
        answer = self._send("GET", group_url(key))
        if answer.status_code == requests.codes.not_found:
            return False
        found = self._json(f"find {key}", answer).get("resources") or ()
        return any(row.get("name") == key.partition(".")[0] for row in found)

    def allows(self, namespace: str, key: str, verb: str) -> tuple[bool, str]:
        """What the server says to whether we may, and why."""
        plural, _, group = key.partition(".")
        asked = {"namespace": namespace, "verb": verb, "group": "" if group == "core" else group, "resource": plural}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = self._send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=body)
        status = self._json("ask what it may do", answer).get("status") or {}
        return bool(status.get("allowed")), str(status.get("reason") or status.get("evaluationError") or "")

    def get(self, ref: Ref) -> Obj | None:
        answer = self._send("GET", ref.url)
        return None if answer.status_code == requests.codes.not_found else self._json(f"read {ref.path}", answer)

    def list(self, namespace: str, key: str, labels: str = "") -> list[Obj]:
        """All of them, page by page; nothing where the cluster has no such kind. Items do not say what they are: the
        list does."""
        params = {"limit": str(PAGE), **({"labelSelector": labels} if labels else {})}
        found: list[Obj] = []
        while True:
            answer = self._send("GET", base_url(namespace, key), params=params)
            if answer.status_code == requests.codes.not_found:
                return found
            page = self._json(f"list {key} in {namespace}", answer)
            named = {"apiVersion": spoken(key), "kind": str(page.get("kind", "")).removesuffix("List")}
            found += [{**named, **one} for one in page.get("items") or ()]
            after = (page.get("metadata") or {}).get("continue")
            if not after:
                return found
            params["continue"] = after

    def apply(self, ref: Ref, body: Obj, *, dry_run: bool = False, force: bool = False) -> Obj:
        params = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        params |= {"dryRun": "All"} if dry_run else {}
        params |= {"force": "true"} if force else {}
        headers = {"Content-Type": APPLY}
        answer = self._send("PATCH", ref.url, params=params, data=json.dumps(body), headers=headers)
        return self._json(f"{'try' if dry_run else 'apply'} {ref.path}", answer)

    def delete(self, ref: Ref, live: Obj) -> None:
        """Of just this object as it was read. What is gone already is gone."""
        meta = live["metadata"]
        given = {name: str(meta[name]) for name in ("uid", "resourceVersion") if meta.get(name)}
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": given}
        answer = self._send("DELETE", ref.url, json=body)
        if answer.status_code != requests.codes.not_found:
            self._json(f"delete {ref.path}", answer)

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        """Once more where the connection broke: it may have been an idle one. Every call made here may be repeated."""
        try:
            token = self._server.token_file.read_text(encoding="utf-8").strip()
            headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
            verify = str(self._server.ca_file) if self._server.ca_file is not None else True
            call = partial(
                self._session.request,
                method,
                f"{self._server.url}{path}",
                headers=headers,
                verify=verify,
                timeout=CALL_SECONDS,
                **options,
            )
            try:
                return call()
            except requests.ConnectionError:
                return call()
        except (OSError, requests.RequestException) as error:
            raise ClusterError("The cluster does not answer", 0, type(error).__name__, kind="unreachable") from error

    def _json(self, what: str, answer: requests.Response) -> Obj:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ClusterError(what, answer.status_code, "The answer is no JSON object.", kind="not_json")
        if not answer.ok:
            raise _refusal(what, answer.status_code, found)
        return found


def _refusal(what: str, status: int, found: Obj) -> ClusterError:
    words = str(found.get("message", ""))[:MOST_WORDS]
    causes = (found.get("details") or {}).get("causes") or ()
    conflicts = tuple(
        {"manager": said["name"] if (said := _MANAGER.search(str(one.get("message")))) else "somebody else",
         "field": str(one.get("field", ""))}
        for one in causes
        if one.get("reason") == "FieldManagerConflict"
    )  # fmt: skip
    kind = "conflict" if conflicts else "not_declared" if NOT_DECLARED in words else ""
    kind = "admission" if status in (400, 403) and "admission webhook" in words else kind
    return ClusterError(what, status, words, kind=kind, conflicts=conflicts)
