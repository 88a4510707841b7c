"""``manage.py write_handout TARGET DIRECTORY``: files that somebody else applies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from apps.audit.commands import OperatorCommand
from apps.rollout import handouts
from apps.rollout.management.sidecars import add_call_arguments, wanted


class Command(OperatorCommand):
    help = "Write files that somebody else applies: a door beside a service, a probe pod, an agent, a baseline."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target")
        parser.add_argument("directory", type=Path)
        what = parser.add_mutually_exclusive_group(required=True)
        beside = "a service, or NAMESPACE/ACCOUNT of a workload that only calls"
        what.add_argument("--door", metavar="WORKLOAD", help=f"a door beside the pods of {beside}; for kustomize")
        what.add_argument("--machine", metavar="WORKLOAD", help=f"a door on the machine of {beside}; for systemd")
        what.add_argument("--probe", metavar="ACCOUNT", help="a pod that probes as namespace/account")
        what.add_argument("--agent", action="store_true", help="the agent of a cluster that lets nobody in")
        what.add_argument("--baseline", metavar="NAMESPACE", help="a NetworkPolicy that lets nothing in")
        parser.add_argument("--image", default="sallyport-door:latest", help="of a door, a probe pod or an agent")
        parser.add_argument("--with-secret", action="store_true", help="the agent shows a token of ours from a Secret")
        parser.add_argument("--node", default="", help="name of the machine")
        parser.add_argument("--egress", action="store_true", help="the baseline lets nothing out either")
        add_call_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        files = _files(options)
        for name, text in files.items():
            path = options["directory"] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self.stdout.write(str(path))


def _files(options: dict[str, Any]) -> handouts.Files:
    target, at = options["target"], timezone.now()
    if options["door"]:
        return handouts.door(target_slug=target, wanted=wanted(options["door"], options), at=at)
    if options["machine"]:
        node = options["node"] or options["machine"].rpartition("/")[2]
        return handouts.machine(target_slug=target, wanted=wanted(options["machine"], options), node=node, at=at)
    if options["probe"]:
        return handouts.probe(target_slug=target, account=options["probe"], image=options["image"], at=at)
    if options["agent"]:
        shows = not options["with_secret"]
        return handouts.cluster_agent(target_slug=target, image=options["image"], by_account=shows, at=at)
    return handouts.baseline(target_slug=target, namespace=options["baseline"], egress=options["egress"])
