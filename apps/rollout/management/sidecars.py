"""What the commands that hand out sidecars are asked alike."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.rollout.handouts import Calling, Wanted


def add_call_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--call",
        action="append",
        default=[],
        metavar="SERVICE[=HOST:PORT]",
        help="secure the workload's calls to the service; on a machine with where it is found",
    )
    parser.add_argument("--call-all", action="store_true", help="secure its calls to every service of the mesh")
    parser.add_argument("--leave", action="append", default=[], metavar="NETWORK", help="leave connections to it alone")
    parser.add_argument(
        "--inside", action="append", default=[], metavar="NETWORK", help="turn calls in it alone; all private ones else"
    )
    parser.add_argument("--not-shut", action="store_true", help="put the door beside, and turn nobody to it yet")


def wanted(what: str, options: dict[str, Any]) -> Wanted:
    places = dict(one.partition("=")[::2] for one in options["call"])
    calling = Calling(places, options["call_all"], tuple(options["leave"]), tuple(options["inside"]))
    return Wanted(what, options["image"], calling, shut=not options["not_shut"])
