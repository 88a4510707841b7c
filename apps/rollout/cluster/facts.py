"""What pages and the API tell of a cluster beside its revisions."""

from __future__ import annotations

from collections.abc import Mapping

from apps.rollout.cluster.settings import END_OF_SALE, SMI, settings_of
from apps.rollout.drivers.kubernetes.driver import rbac_manifest
from apps.rollout.models import Sight, Target
from apps.rollout.services.cluster import connecting as cluster_connecting
from apps.rollout.services.cluster import objects as cluster_objects
from apps.rollout.services.cluster.driving import CONFLICTS, TAKEN, kinds_of


def manifest_of(target: Target) -> str:
    chosen = settings_of(target.config)
    return rbac_manifest(chosen.namespaces, kinds_of(chosen), verifier=chosen.verifier_namespace)


def facts_of(target: Target) -> Mapping[str, object]:
    """What a cluster's page shows beside its revisions."""
    chosen = settings_of(target.config)
    found = target.facts.get(CONFLICTS, {})
    return {
        "chosen": chosen,
        "end_of_sale": END_OF_SALE if SMI in chosen.emitters else "",
        "reached": cluster_connecting.REACHED.get(str(target.config.get("reached", "")), "nobody said how yet"),
        "server": target.config.get("server", ""),
        "sight": Sight.objects.filter(target=target).first() if target.is_pulled else None,
        "conflicts": [
            {
                "path": path,
                "managers": cluster_objects.managers_of(said),
                "fields": ", ".join(one["field"] for one in said),
                "taken": target.facts.get(TAKEN, {}).get(path),
            }
            for path, said in sorted(found.items())
        ],
    }
