"""``python -m deploy.demo up`` starts everything on this machine; ``reset`` forgets its state."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time

from deploy.demo import parts, servers
from deploy.demo.banner import banner, state_document
from deploy.demo.places import Places, PortTaken
from deploy.demo.secrets import load_or_make, write_private
from deploy.demo.supervisor import Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("command", choices=["up", "reset"])
    parser.add_argument("--quiet", action="store_true", help="write the children's logs to files only")
    arguments = parser.parse_args()
    places = Places.from_environment()
    if arguments.command == "reset":
        return reset(places)
    return up(places, quiet=arguments.quiet)


def reset(places: Places) -> int:
    taken = places.taken()
    if taken:
        ports = ", ".join(str(port) for port in taken)
        print(f"Stop the running demo first (Ctrl-C). Something still listens at: {ports}.", file=sys.stderr)
        return 1
    servers.forget(places.state)
    shutil.rmtree(places.state, ignore_errors=True)
    print("The demo's state is gone; `make demo` starts afresh.")
    return 0


def up(places: Places, *, quiet: bool) -> int:
    began = time.monotonic()
    try:
        places.check_free()
    except PortTaken as problem:
        print(problem, file=sys.stderr)
        return 1
    places.state.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(log_dir=places.state / "logs", quiet=quiet)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.request_stop())
    try:
        start_all(supervisor, places)
        finish(places, seconds=time.monotonic() - began)
        supervisor.run()
    except (TimeoutError, RuntimeError, subprocess.CalledProcessError, servers.ServerFailed) as problem:
        supervisor.say(f"Could not start: {problem}")
        return 1
    finally:
        supervisor.say("Stopping.")
        supervisor.stop()
        (places.state / "state.json").unlink(missing_ok=True)
    return 0


def start_all(supervisor: Supervisor, places: Places) -> None:
    """Stores first, then the schema and the estate, then everything that serves."""
    secrets = load_or_make(places.state)
    stores = parts.stores(places)
    for child in stores:
        supervisor.start(child)
    supervisor.wait_ready(stores, timeout=60)
    environment = parts.console_environment(places, secrets)
    parts.prepare_console(places, environment, say=supervisor.say)
    for wave in (parts.front(places, environment), parts.behind(places)):
        for child in wave:
            supervisor.start(child)
        supervisor.wait_ready(wave, timeout=90)
    parts.wait_for_doors(places, tend=supervisor.tend, timeout=90)


def finish(places: Places, *, seconds: float) -> None:
    setup = json.loads((places.state / "setup.json").read_text(encoding="utf-8"))
    write_private(places.state / "state.json", json.dumps(state_document(places, setup), indent=2))
    print(banner(places, seconds=seconds), flush=True)


if __name__ == "__main__":
    sys.exit(main())
