"""What can be done with objects: create, replace, patch, apply, delete, each as a dry run too."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.localcluster.admission import CREATE, DELETE, UPDATE, Admission
from apps.localcluster.http import (
    Cause,
    Obj,
    Refused,
    already_exists,
    bad_request,
    conflict,
    details_of,
    invalid,
    not_found,
    success,
)
from apps.localcluster.kinds import DEFINITIONS, NAMESPACES, Registry, Resource, definition_faults, established
from apps.localcluster.ownership import APPLY, Owner, applied, owners_of, updated, with_owners
from apps.localcluster.ownership import UPDATE as UPDATED
from apps.localcluster.schema import Schema, child, faults, keys_of, pruned, unknown_fields
from apps.localcluster.store import Key, Objects
from apps.localcluster.tidying import tidied

Clock = Callable[[], float]

_UNNAMED = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")


@dataclass(frozen=True, slots=True)
class Options:
    """Of one request. ``validation`` is Strict, Warn or Ignore; the last two leave out what nobody declared."""

    manager: str
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    subresource: str = ""


class Operations:
    def __init__(self, objects: Objects, registry: Registry, admission: Admission, now: Clock) -> None:
        self._objects, self._registry, self._admission, self._now = objects, registry, admission, now
        for definition in objects.all(DEFINITIONS):
            registry.define(definition)

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, resource: Resource, key: Key) -> Obj:
        found = self._objects.get(resource.store, key)
        if found is None:
            raise not_found(resource.group, resource.plural, key[1])
        return shown(resource, found)

    # -- writing ---------------------------------------------------------------------------------------------------
    def create(self, resource: Resource, namespace: str, body: Obj, options: Options) -> Obj:
        meta = body.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{uuid.uuid4().hex[:5]}"
        key = (namespace, str(meta.get("name") or ""))
        _check_address(resource, key, body)
        if self._objects.get(resource.store, key) is not None:
            raise already_exists(resource.group, resource.plural, key[1])
        new = self._cleaned(resource, self._named(resource, key, body), options)
        new = updated(None, new, self._owner(resource, options, UPDATED), resource.schema)
        return self._keep(resource, key, None, new, options)

    def replace(self, resource: Resource, key: Key, body: Obj, options: Options) -> Obj:
        live = self._live(resource, key)
        _check_address(resource, key, body)
        _check_version(resource, key, live, body)
        new = self._cleaned(resource, self._over(resource, live, body, options), options)
        new = updated(live, new, self._owner(resource, options, UPDATED), resource.schema)
        return self._keep(resource, key, live, new, options)

    def merge(self, resource: Resource, key: Key, patch: Obj, options: Options) -> Obj:
        live = self._live(resource, key)
        _check_version(resource, key, live, patch)
        body = _merge_patched(copy.deepcopy(live), patch)
        return self.replace(resource, key, body, options)

    def merge_strategically(self, resource: Resource, key: Key, patch: Obj, options: Options) -> Obj:
        """Where that is the same as to merge; else it is refused, as the real server does for custom kinds."""
        if resource.custom or not _merges_plainly(resource.schema, patch):
            raise Refused(415, "UnsupportedMediaType", "a strategic merge of lists by their keys is not done here")
        return self.merge(resource, key, patch, options)

    def apply(self, resource: Resource, key: Key, config: Obj, options: Options) -> Obj:
        """Server-side apply: made when it is not there."""
        _check_address(resource, key, config)
        if not options.manager:
            raise invalid("meta.k8s.io", "PatchOptions", "", [_UNNAMED])
        if config.get("metadata", {}).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        live = self._objects.get(resource.store, key)
        if live is not None:
            _check_version(resource, key, live, config)
        elif not config.get("metadata", {}).get("name"):
            raise bad_request(
                f"the name of the object ({key[1]} based on URL) was undeterminable: name must be provided"
            )
        _check_declared(resource, key, config)
        base = live or self._named(resource, key, {"metadata": {}})
        mine = self._owner(resource, options, APPLY)
        new = applied(base, {**config}, mine, resource.schema, force=options.force)
        return self._keep(resource, key, live, self._over(resource, live or base, new, options), options)

    def delete(self, resource: Resource, key: Key, body: Obj, options: Options) -> Obj:
        live = self._live(resource, key)
        self._check_preconditions(resource, key, live, body.get("preconditions") or {})
        self._admission.review(DELETE, resource, key)
        if not options.dry_run:
            self._remove(resource, key, live)
        details = {**details_of(resource.group, resource.plural, key[1]), "uid": live["metadata"]["uid"]}
        return success(details)

    # -- steps -----------------------------------------------------------------------------------------------------
    def _live(self, resource: Resource, key: Key) -> Obj:
        found = self._objects.get(resource.store, key)
        if found is None:
            raise not_found(resource.group, resource.plural, key[1])
        return found

    def _named(self, resource: Resource, key: Key, body: Obj) -> Obj:
        meta: Obj = {**(body.get("metadata") or {}), "name": key[1], "generation": 1}
        meta["uid"], meta["creationTimestamp"] = str(uuid.uuid4()), self._time()
        if resource.namespaced:
            meta["namespace"] = key[0]
        meta.pop("managedFields", None)
        found = {**body, "apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}
        if resource.has_status and resource.custom:
            found.pop("status", None)
        return found

    def _over(self, resource: Resource, live: Obj, body: Obj, options: Options) -> Obj:
        """The new body with what may not be changed, and with the status as it was, or nothing but a new status."""
        kept = ("uid", "creationTimestamp", "generation", "name", "namespace", "deletionTimestamp", "resourceVersion")
        held = {name: live["metadata"][name] for name in kept if name in live["metadata"]}
        new: Obj = {**body, "apiVersion": resource.api_version, "kind": resource.kind}
        new["metadata"] = {**(body.get("metadata") or {}), **held}
        if options.subresource == "status":
            return {**live, "status": body.get("status") or {}}
        if resource.has_status and "status" in live:
            new["status"] = live["status"]
        elif resource.has_status:
            new.pop("status", None)
        return new

    def _cleaned(self, resource: Resource, body: Obj, options: Options) -> Obj:
        unknown = list(unknown_fields(resource.schema, body))
        if unknown and options.validation == "Strict":
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a '
                f"{resource.kind}: strict decoding error: {listed}"
            )
        found: Obj = pruned(resource.schema, body) if unknown else body
        return found

    def _keep(self, resource: Resource, key: Key, live: Obj | None, new: Obj, options: Options) -> Obj:
        """Checks the outcome, has it admitted, and stores it unless nothing changed."""
        new = tidied(resource, new)
        wrong = list(faults(resource.schema, new))
        if resource.store == DEFINITIONS:
            wrong += definition_faults(new)
        if wrong:
            raise invalid(resource.group, resource.kind, key[1], wrong)
        if live is None and resource.namespaced and self._objects.get(NAMESPACES, ("", key[0])) is None:
            raise not_found("", "namespaces", key[0])
        for change in self._admission.review(UPDATE if live else CREATE, resource, key):
            new = _merge_patched(copy.deepcopy(new), change)
        if live is not None and _same(live, new):
            return shown(resource, live)
        if live is not None and _differs_in_substance(live, new):
            new["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
        if options.dry_run:
            return shown(resource, new)
        return shown(resource, self._store(resource, key, new))

    def _store(self, resource: Resource, key: Key, new: Obj) -> Obj:
        if resource.store == DEFINITIONS:
            new = established(new)
            self._registry.define(new)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return self._objects.drop(resource.store, key)
        return self._objects.put(resource.store, key, new)

    def _remove(self, resource: Resource, key: Key, live: Obj) -> None:
        """At once, or marked for it while somebody's finalizer is on it."""
        if live["metadata"].get("finalizers"):
            meta = {**live["metadata"], "deletionTimestamp": self._time()}
            self._objects.put(resource.store, key, {**live, "metadata": meta})
            return
        self._objects.drop(resource.store, key)
        if resource.store == NAMESPACES:
            for store in self._objects.stores():
                for inner in self._objects.keys(store, key[1]):
                    self._objects.drop(store, inner)
        if resource.store == DEFINITIONS:
            self._registry.forget(live)
            store = (live["spec"]["group"], live["spec"]["names"]["plural"])
            for inner in self._objects.keys(store, ""):
                self._objects.drop(store, inner)

    def _check_preconditions(self, resource: Resource, key: Key, live: Obj, wanted: Mapping[str, Any]) -> None:
        for name in ("uid", "resourceVersion"):
            found = live["metadata"].get(name)
            if wanted.get(name) and wanted[name] != found:
                label = "UID" if name == "uid" else "ResourceVersion"
                why = f"Precondition failed: {label} in precondition: {wanted[name]}, {label} in object meta: {found}"
                raise conflict(resource.group, resource.plural, key[1], why)

    def _owner(self, resource: Resource, options: Options, operation: str) -> Owner:
        return Owner(options.manager, operation, resource.api_version, frozenset(), self._time(), options.subresource)

    def _time(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(resource: Resource, obj: Obj) -> Obj:
    """In the version that was asked for."""
    return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}


def _check_address(resource: Resource, key: Key, body: Obj) -> None:
    meta = body.get("metadata") or {}
    said = (body.get("apiVersion", resource.api_version), body.get("kind", resource.kind))
    if said != (resource.api_version, resource.kind):
        raise bad_request(
            f"the API version or kind in the data ({said[0]}, {said[1]}) does not match the expected one "
            f"({resource.api_version}, {resource.kind})"
        )
    if meta.get("name", key[1]) != key[1] or not key[1]:
        raise bad_request("the name of the object does not match the name on the URL, or there is none")
    if meta.get("namespace", key[0]) != key[0]:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _check_version(resource: Resource, key: Key, live: Obj, body: Obj) -> None:
    version = (body.get("metadata") or {}).get("resourceVersion")
    if version and version != live["metadata"]["resourceVersion"]:
        why = "the object has been modified; please apply your changes to the latest version and try again"
        raise conflict(resource.group, resource.plural, key[1], why)


def _check_declared(resource: Resource, key: Key, config: Obj) -> None:
    """An apply is read by the schema alone: what it does not know is refused, whatever the validation asked for."""
    unknown = [f".{path}: field not declared in schema" for path in unknown_fields(resource.schema, config)]
    if unknown:
        said = unknown[0] if len(unknown) == 1 else "errors:\n  " + "\n  ".join(unknown)
        named = f"({key[0]}/{key[1]}; {resource.api_version}, Kind={resource.kind})"
        raise Refused(500, "", f"failed to create typed patch object {named}: {said}")


def _merge_patched(target: Any, patch: Any) -> Any:
    """RFC 7386"""
    if not isinstance(patch, dict):
        return patch
    found = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _merge_patched(found.get(name), value)
    return found


def _merges_plainly(schema: Schema, patch: Any) -> bool:
    """Whether there is no list in it that has entries with keys, and no directive."""
    if isinstance(patch, list):
        return not keys_of(schema)
    if not isinstance(patch, dict):
        return True
    plain = (_merges_plainly(child(schema, name), inner) for name, inner in patch.items())
    return not any(name.startswith("$") for name in patch) and all(plain)


def _bare(obj: Obj) -> Obj:
    return with_owners(obj, [])


def _same(live: Obj, new: Obj) -> bool:
    """Also in who owns what; when somebody said it again changes nothing."""
    owned = [{owner.key: owner.fields for owner in owners_of(one)} for one in (live, new)]
    return _bare(live) == _bare(new) and owned[0] == owned[1]


def _differs_in_substance(live: Obj, new: Obj) -> bool:
    parts = [{name: value for name, value in one.items() if name not in ("metadata", "status")} for one in (live, new)]
    return parts[0] != parts[1]
