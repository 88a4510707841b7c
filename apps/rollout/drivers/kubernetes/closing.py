"""The last TrafficTarget of a destination, in a mesh where what no TrafficTarget names is open to everybody.

It is not deleted but replaced by one that lets in nobody. That a missing one opens is how NGINX Service Mesh describes
its mode ``allow``; that one without rules and with a source that does not exist keeps it shut follows from the
specification (additive allows only) and was not tried on a mesh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apps.rollout.drivers.kubernetes.api import ClusterApi, Obj
from apps.rollout.drivers.kubernetes.compare import CLOSED, CLUSTER, MANAGED_BY, OURS, REVISION, SERVICE, service_of
from apps.rollout.drivers.kubernetes.kinds import KINDS, TRAFFIC_TARGETS, Ref

NOBODY = "sallyport-nobody"
"""The service account that is the only source of a closed destination. Nobody makes one of that name."""

Destination = tuple[str, str, str]


class Closing:
    def __init__(self, api: ClusterApi, cluster: str) -> None:
        self._api, self._cluster = api, cluster

    def last_ones(self, gone: Sequence[Ref], live: Mapping[str, Obj]) -> set[str]:
        """Of the TrafficTargets that are about to go, one for each destination that would be left without any; several
        where they were for different ports and none for all of them.

        ``live`` are all that will have gone in the end, by path.
        """
        targets = [ref for ref in gone if ref.kind.key == TRAFFIC_TARGETS and ref.path in live]
        last: set[str] = set()
        for namespace in {ref.namespace for ref in targets}:
            kind = KINDS[TRAFFIC_TARGETS]
            there = self._api.list(kind, namespace).objects
            staying = [one for one in there if Ref(kind, namespace, one["metadata"]["name"]).path not in live]
            inside = [ref.path for ref in targets if ref.namespace == namespace]
            for path in sorted(inside, key=lambda path: (_port(live[path]) is not None, path)):
                if not any(_covers(one, live[path]) for one in staying):
                    staying.append(live[path])
                    last.add(path)
        return last

    def close(self, ref: Ref, live: Obj, number: int) -> None:
        labels = {
            MANAGED_BY: OURS,
            CLUSTER: self._cluster,
            SERVICE: service_of(live),
            REVISION: str(number),
            CLOSED: "true",
        }
        nobody = {"kind": "ServiceAccount", "name": NOBODY, "namespace": ref.namespace}
        body = {
            "apiVersion": ref.kind.api_version,
            "kind": ref.kind.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace, "labels": labels},
            "spec": {"destination": live["spec"]["destination"], "sources": [nobody]},
        }
        self._api.apply(ref, body)


def _destination(target: Obj) -> Destination:
    found = (target.get("spec") or {}).get("destination") or {}
    namespace = found.get("namespace") or target["metadata"].get("namespace", "")
    return str(found.get("kind")), str(namespace), str(found.get("name"))


def _port(target: Obj) -> object:
    return ((target.get("spec") or {}).get("destination") or {}).get("port")


def _covers(staying: Obj, going: Obj) -> bool:
    """Whether one that stays keeps shut what the other did: the same destination, on all ports or on the same."""
    return _destination(staying) == _destination(going) and _port(staying) in (None, _port(going))
