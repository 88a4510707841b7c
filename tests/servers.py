"""PostgreSQL and Valkey for one test session, started as the demo starts them and thrown away afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connections

from deploy.demo import servers
from deploy.demo.places import answers
from tests.ports import free_port

# Nobody minds losing a test's database, and no test lasts long enough for what tidies up behind it.
HASTY = [
    argument
    for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "jit")
    for argument in ("-c", f"{setting}=off")
]


@dataclass(frozen=True)
class Stores:
    database_url: str
    redis_url: str


@contextmanager
def running(command: servers.Command, port: int, log: Path) -> Iterator[None]:
    """Run a server until the block ends; it accepts connections when the block begins."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command.argv, user=command.user, cwd="/", stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command.argv[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # at once: to SIGTERM PostgreSQL waits until nobody is connected
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def valkey(state: Path, port: int) -> Iterator[str]:
    with running(servers.valkey(state, port), port, state / "valkey.log"):
        yield servers.valkey_url(port)


@contextmanager
def stores() -> Iterator[Stores]:
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sallyport-test-")))
        stack.callback(servers.forget, state)
        port = free_port()
        postgres = servers.postgres(state, port)
        postgres.argv.extend(HASTY)
        stack.enter_context(running(postgres, port, state / "postgres.log"))
        redis_url = stack.enter_context(valkey(state, free_port()))
        yield Stores(servers.postgres_url(port, "postgres"), redis_url)


def child_environment() -> dict[str, str]:
    """The environment in which a child process works on the database that tests work on."""
    at = connections["default"].settings_dict
    login = f"{at['USER']}:{at['PASSWORD']}" if at["PASSWORD"] else at["USER"]
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
        "DATABASE_URL": f"postgres://{login}@{at['HOST']}:{at['PORT']}/{at['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
    }
