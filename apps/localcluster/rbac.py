"""Who calls, and what they may do: tokens of the configuration, and Roles and bindings that lie in the cluster."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.localcluster.http import Obj, Refused, details_of, qualified, unauthorized
from apps.localcluster.store import Objects
from apps.localcluster.tidying import account_of

GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Who:
    """``rules`` are those of the token itself, each with the namespaces it is for (none: all)."""

    user: str
    groups: tuple[str, ...] = ()
    rules: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to do."""

    verb: str
    group: str
    plural: str
    namespace: str = ""
    name: str = ""


class Rights:
    def __init__(self, tokens: Mapping[str, Who], objects: Objects) -> None:
        self._tokens, self._objects = dict(tokens), objects

    def issue(self, namespace: str, account: str) -> str:
        """A token for a service account, good until this process ends."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = _account(namespace, account)
        return token

    def caller(self, headers: Mapping[str, str]) -> Who:
        """Raises Refused."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        found = self._tokens.get(given) or self._by_secret(given)
        if found is None:
            raise unauthorized()
        return found

    def _by_secret(self, token: str) -> Who | None:
        """Of the service account whose token lies in a Secret."""
        encoded = base64.b64encode(token.encode()).decode()
        for secret in self._objects.all(("", "secrets")):
            key = (secret["metadata"]["namespace"], account_of(secret))
            if key[1] and token and (secret.get("data") or {}).get("token") == encoded:
                return _account(*key) if self._objects.get(("", "serviceaccounts"), key) else None
        return None

    def demand(self, who: Who, wish: Wish) -> None:
        """Raises Refused."""
        allowed, _ = self.allows(who, wish)
        if not allowed:
            raise _forbidden(who, wish)

    def allows(self, who: Who, wish: Wish) -> tuple[bool, str]:
        if MASTERS in who.groups:
            return True, ""
        for rule in who.rules:
            if wish.namespace in (rule.get("namespaces") or [wish.namespace]) and _fits([rule], wish):
                return True, ""
        for binding, role in self._bound(who, wish.namespace):
            if _fits(role.get("rules") or (), wish):
                return True, _reason(binding, who)
        return False, ""

    def _bound(self, who: Who, namespace: str) -> Iterator[tuple[Obj, Obj]]:
        bindings = list(self._objects.all((GROUP, "clusterrolebindings")))
        if namespace:
            bindings += self._objects.all((GROUP, "rolebindings"), namespace)
        for binding in bindings:
            if not any(_is(who, subject) for subject in binding.get("subjects") or ()):
                continue
            ref = binding["roleRef"]
            key = (namespace, ref["name"]) if ref["kind"] == "Role" else ("", ref["name"])
            role = self._objects.get((GROUP, "roles" if ref["kind"] == "Role" else "clusterroles"), key)
            if role is not None:
                yield binding, role


def _account(namespace: str, name: str) -> Who:
    return Who(f"system:serviceaccount:{namespace}:{name}", ("system:serviceaccounts",))


def _is(who: Who, subject: Obj) -> bool:
    if subject["kind"] == "ServiceAccount":
        return who.user == f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"
    return subject["name"] in (who.groups if subject["kind"] == "Group" else (who.user,))


def _fits(rules: Iterable[Mapping[str, Any]], wish: Wish) -> bool:
    wanted = (("verbs", wish.verb), ("apiGroups", wish.group), ("resources", wish.plural))
    return any(
        all(_lists(rule.get(part) or (), value) for part, value in wanted)
        and (not rule.get("resourceNames") or wish.name in rule["resourceNames"])
        for rule in rules
    )


def _lists(allowed: Sequence[str], value: str) -> bool:
    return "*" in allowed or value in allowed


def _reason(binding: Obj, who: Who) -> str:
    meta, ref = binding["metadata"], binding["roleRef"]
    named = f"{meta['name']}/{meta['namespace']}" if meta.get("namespace") else meta["name"]
    kind, whom = "User", who.user
    if who.user.startswith("system:serviceaccount:"):
        _, _, home, name = who.user.split(":")
        kind, whom = "ServiceAccount", f"{name}/{home}"
    return f'RBAC: allowed by {binding["kind"]} "{named}" of {ref["kind"]} "{ref["name"]}" to {kind} "{whom}"'


def _forbidden(who: Who, wish: Wish) -> Refused:
    what = qualified(wish.group, wish.plural) + (f' "{wish.name}"' if wish.name else "")
    where = f' in the namespace "{wish.namespace}"' if wish.namespace else " at the cluster scope"
    cannot = f'User "{who.user}" cannot {wish.verb} resource "{wish.plural}" in API group "{wish.group}"{where}'
    details = details_of(wish.group, wish.plural, wish.name)
    return Refused(403, "Forbidden", f"{what} is forbidden: {cannot}", details=details)
