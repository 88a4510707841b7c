"""``manage.py connect_cluster TARGET``: how the console reaches a cluster, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from apps.audit.commands import OPERATOR, OperatorCommand
from apps.rollout import tasks
from apps.rollout.services.cluster.connecting import AGENT, IN_CLUSTER, KUBECONFIG, REACHED, TOKEN, Way, connect


class Command(OperatorCommand):
    help = "Give a cluster another way to be reached. It is tried with calls that only read before it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("target", metavar="TARGET")
        parser.add_argument("--kubeconfig", type=Path, metavar="FILE")
        parser.add_argument("--context", default="", metavar="NAME")
        parser.add_argument("--server", default="", metavar="URL")
        parser.add_argument("--token-file", type=Path, metavar="FILE")
        parser.add_argument("--ca-file", type=Path, metavar="FILE")
        parser.add_argument("--in-cluster", action="store_true")
        parser.add_argument("--agent", action="store_true", help="an agent in the cluster calls the console")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            target = connect(slug=options["target"], way=_way(options), actor=OPERATOR, at=timezone.now())
        except (OSError, ValueError) as error:
            raise CommandError(f"A file cannot be read: {type(error).__name__}") from error
        tasks.poke([target.slug])
        self.stdout.write(
            f"{target.slug}: reached {REACHED[target.config['reached']]} {target.config['server']}".strip()
        )


def _way(options: dict[str, Any]) -> Way:
    if options["in_cluster"]:
        return Way(IN_CLUSTER)
    if options["agent"]:
        return Way(AGENT)
    if options["kubeconfig"]:
        return Way(KUBECONFIG, kubeconfig=options["kubeconfig"].read_text(encoding="utf-8"), context=options["context"])
    return Way(TOKEN, server=options["server"], token=_read(options["token_file"]), ca_pem=_read(options["ca_file"]))


def _read(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").strip() if file else ""
