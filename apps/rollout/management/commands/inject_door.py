"""``manage.py inject_door TARGET WORKLOAD < deployment.yaml | kubectl apply -f -``"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OperatorCommand
from apps.rollout import handouts
from apps.rollout.management.sidecars import add_call_arguments, wanted


class Command(OperatorCommand):
    help = (
        "Read a Deployment, StatefulSet or DaemonSet and print it with a sidecar in it. Other documents pass as read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("workload", help="a service, or NAMESPACE/ACCOUNT of a workload that only calls")
        parser.add_argument("--image", default="sallyport-door:latest")
        parser.add_argument("--name", default="", help="of the Deployment among several documents")
        add_call_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            documents = [one for one in yaml.safe_load_all(sys.stdin) if one]
            printed = _with_sidecar(documents, options)
        except yaml.YAMLError as error:
            raise CommandError(f"What was read is no YAML: {error}") from error
        self.stdout.write(yaml.safe_dump_all(printed, sort_keys=False))


def _with_sidecar(documents: list[Any], options: dict[str, Any]) -> list[Any]:
    chosen = [place for place, one in enumerate(documents) if _is_meant(one, options["name"])]
    if len(chosen) != 1:
        raise CommandError(f"{len(chosen)} of the documents read could be meant: choose one with --name.")
    want = wanted(options["workload"], options)
    target, at, workload = options["target"], timezone.now(), documents[chosen[0]]
    config_map, whole = handouts.injected(target_slug=target, wanted=want, workload=workload, at=at)
    return [*documents[: chosen[0]], config_map, whole, *documents[chosen[0] + 1 :]]


def _is_meant(document: Any, name: str) -> bool:
    """Something that makes pods; whether a sidecar fits into it is said when it is put in."""
    found = isinstance(document, dict) and "template" in (document.get("spec") or {})
    return found and name in ("", (document.get("metadata") or {}).get("name"))
