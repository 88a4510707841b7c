"""The parts of the demo: what each process is, how it is configured and when it counts as healthy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from signal import SIGINT

import psycopg

from deploy.demo import servers
from deploy.demo.places import REPOSITORY, Places, answers
from deploy.demo.supervisor import Child

PYTHON = sys.executable
_PLAIN = {"PYTHONUNBUFFERED": "1"}


def stores(places: Places) -> list[Child]:
    ports = places.ports
    postgres = servers.postgres(places.state, ports["postgres"])
    valkey = servers.valkey(places.state, ports["valkey"])
    return [
        Child(
            "postgres",
            postgres.argv,
            {},
            ready=lambda: _postgres_answers(ports["postgres"]),
            stop_signal=SIGINT,
            cwd=Path("/"),
            user=postgres.user,
            store=True,
        ),
        Child("valkey", valkey.argv, {}, ready=lambda: answers(ports["valkey"]), user=valkey.user, store=True),
    ]


def console_environment(places: Places, secrets: Mapping[str, str]) -> dict[str, str]:
    """The environment every console process of the demo runs with; it holds the demo's own secrets."""
    return {
        "DJANGO_SETTINGS_MODULE": "console.settings.dev",
        "PYTHONUNBUFFERED": "1",
        "DATABASE_URL": servers.postgres_url(places.ports["postgres"]),
        "REDIS_URL": servers.valkey_url(places.ports["valkey"]),
        "SALLYPORT_DEMO": "1",
        "SALLYPORT_EDGE_PORT": str(places.ports["edge"]),
        "SALLYPORT_URL": places.web_url,
        "SALLYPORT_SECRET_KEY": secrets["secret_key"],
        "SALLYPORT_SECRETS_KEY": secrets["secrets_key"],
        "SALLYPORT_STATIC_ROOT": str(places.state / "static"),
        "SALLYPORT_LOG_LEVEL": os.environ.get("SALLYPORT_LOG_LEVEL", "WARNING"),
    }


def prepare_console(places: Places, environment: Mapping[str, str], *, say: Callable[[str], None]) -> None:
    """Schema, static files and the sample estate. Each step is skipped when what it reads has not changed."""
    if _create_database(places.ports["postgres"]):
        _forget_what_the_database_knew(places.state)
    say("Migrating the database.")
    _manage(environment, "migrate", "--verbosity", "0")
    stamp = places.state / "static.stamp"
    if stamp.exists() and stamp.read_text() == _static_digest():
        say("Static files are up to date.")
    else:
        say("Collecting static files.")
        _manage(environment, "collectstatic", "--noinput", "--verbosity", "0")
        stamp.write_text(_static_digest())
    say("Loading the sample estate.")
    request = {
        "estate": str(REPOSITORY / "deploy/demo/estate.yaml"),
        "state": str(places.state),
        "ports": places.ports,
        "mesh_base": places.mesh_base,
    }
    secrets = json.loads((places.state / "secrets.json").read_text(encoding="utf-8"))
    handed = {name: {k: v for k, v in secrets.items() if k.startswith(f"{name}_")} for name in ("edge", "cluster")}
    document = json.dumps({**request, **handed})
    _manage(environment, "demo_setup", stdin=document)


def front(places: Places, environment: Mapping[str, str]) -> list[Child]:
    """What the others talk to: the console, what it drives, and the workers that carry out changes."""
    state, ports = places.state, places.ports
    pooled = {**environment, "SALLYPORT_DB_POOL": "12"}
    celery = [PYTHON, "-m", "celery", "-A", "console", "--quiet"]
    web = [PYTHON, "-m", "uvicorn", "console.asgi:application", "--host", "127.0.0.1", "--port", str(ports["web"])]
    return [
        Child("edge", [PYTHON, "-m", "apps.localedge", "--config", str(state / "edge.json")], _PLAIN,
              ready=lambda: _says_ok(f"{places.edge_control_url}/healthz") and answers(ports["edge"])),
        Child("cluster", [PYTHON, "-m", "apps.localcluster", "--config", str(state / "cluster.json")], _PLAIN,
              ready=lambda: _says_ok(f"{places.cluster_url}/readyz")),
        Child("web", [*web, "--log-level", "warning", "--lifespan", "off", "--timeout-graceful-shutdown", "2"], pooled,
              ready=lambda: _says_ok(f"{places.web_url}/healthz/ready")),
        Child("worker", [*celery, "worker", "-P", "threads", "-c", "8", "--without-mingle", "--without-gossip",
                         "--loglevel", "WARNING"], pooled),
        Child("beat", [*celery, "beat", "-s", str(state / "beat-schedule"), "--pidfile=", "--loglevel", "WARNING"],
              dict(environment)),
        Child("watch", [PYTHON, str(REPOSITORY / "manage.py"), "watch_clusters"], pooled),
    ]  # fmt: skip


def behind(places: Places) -> list[Child]:
    """The mesh: the node agent with its NGINX, and the sample services."""
    state = places.state
    return [
        Child("agent", [PYTHON, "-m", "apps.meshagent", "--config", str(state / "agent.json")], _PLAIN,
              ready=lambda: answers(places.ports["ingress"])),
        Child("samples", [PYTHON, "-m", "deploy.demo.samples", "--config", str(state / "samples.json")], _PLAIN,
              ready=lambda: answers(places.mesh_base + 101)),
    ]  # fmt: skip


def wait_for_doors(places: Places, *, tend: Callable[[], None], timeout: float) -> None:
    """Blocks until the edge runs an activated bundle: a call without a token is refused by it, not by its absence."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        tend()
        if _edge_decides(places) and answers(places.mesh_base + 1):
            return
        time.sleep(0.2)
    raise TimeoutError("The first configuration did not reach both doors; look at the rollout page and the logs.")


def _edge_decides(places: Places) -> bool:
    """Asked as a probe, so that no page shows it among the calls of people."""
    headers = {"Host": "api.shop.localhost", "X-Sallyport-Probe": "1"}
    request = urllib.request.Request(f"http://127.0.0.1:{places.ports['edge']}/payments/refunds", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=2)  # noqa: S310
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return False


def _says_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  (a fixed http address on the loopback)
            return bool(answer.status == 200)
    except OSError:
        return False


def _manage(environment: Mapping[str, str], *arguments: str, stdin: str | None = None) -> None:
    argv = [PYTHON, str(REPOSITORY / "manage.py"), *arguments]
    done = subprocess.run(
        argv,
        env={**os.environ, **environment},
        cwd=REPOSITORY,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"`manage.py {arguments[0]}` failed:\n{done.stdout}{done.stderr}")


def _postgres_answers(port: int) -> bool:
    if not answers(port):
        return False
    try:
        psycopg.connect(servers.postgres_url(port, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _create_database(port: int) -> bool:
    """Whether there was none before."""
    with psycopg.connect(servers.postgres_url(port, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'sallyport'").fetchone():
            return False
        connection.execute("CREATE DATABASE sallyport")
    return True


def _forget_what_the_database_knew(state: Path) -> None:
    """A new database knows none of the tokens, certificates and revisions that an earlier one handed out."""
    for folder in ("agent", "edge", "cluster"):
        shutil.rmtree(state / folder, ignore_errors=True)
    for pattern in ("*.token", "bundle-keys.json", "api-tokens.json", "edge-cert.json", "beat-schedule*"):
        for path in state.glob(pattern):
            path.unlink()


def _static_digest() -> str:
    """Of our static files and of the installed set, so that an upgrade collects again."""
    digest = hashlib.sha256()
    for path in _static_files():
        digest.update(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _static_files() -> Iterator[Path]:
    yield REPOSITORY / "requirements.lock"
    yield from sorted(path for path in (REPOSITORY / "static").rglob("*") if path.is_file())
