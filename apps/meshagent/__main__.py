"""``python -m apps.meshagent --config FILE.json``"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path
from types import FrameType

from apps.meshagent.agent import Agent
from apps.meshagent.binary import find
from apps.meshagent.bundle import Revisions, Verifier
from apps.meshagent.config import Config
from apps.meshagent.console import Console
from apps.meshagent.identities import Identities
from apps.meshagent.layout import Layout
from apps.meshagent.nginx import Nginx
from apps.meshagent.shipping import Shipper
from apps.meshagent.tail import Tail


class _Told(BaseException):
    """Asked to end. It may come anywhere: everything on disk is fit for an end at any moment."""


def main() -> None:
    parser = argparse.ArgumentParser(description="The Sallyport node agent: keeps NGINX as the console wants it.")
    parser.add_argument("--config", type=Path, required=True)
    config = Config.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _end)
    layout = Layout(config.root)
    layout.prepare()
    nginx = Nginx(layout, find(config.nginx))
    console = Console(config.console, config.token_file)
    identities = Identities(layout, console, config.workloads)
    agent = Agent(config, layout, console, identities, Revisions(layout, Verifier(config.bundle_keys)), nginx)
    helpers, shipper = [threading.Thread(target=nginx.tend, daemon=True)], _shipper(config, layout, nginx)
    if shipper is not None:
        helpers.append(threading.Thread(target=shipper.run, daemon=True))
    _run(agent, nginx, shipper, helpers)


def _run(agent: Agent, nginx: Nginx, shipper: Shipper | None, helpers: list[threading.Thread]) -> None:
    try:
        agent.resume()
        for helper in helpers:
            helper.start()
        agent.run()
    except _Told:
        nginx.stop()
        if shipper is not None:
            shipper.stop()
        for helper in helpers:
            helper.join(timeout=3)


def _shipper(config: Config, layout: Layout, nginx: Nginx) -> Shipper | None:
    if config.ship is None:
        return None
    tail = Tail(layout.decisions, layout.root / "shipped.json", nginx.reopen_log)
    return Shipper(tail, config.ship, config.node)


def _end(number: int, frame: FrameType | None) -> None:
    raise _Told


if __name__ == "__main__":
    main()
