"""The images do what their manifests start them for: enrol, serve, judge, try calls, answer with pages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
import requests

from apps.compiler.emitters.cluster import probe_pod, sidecar
from apps.compiler.emitters.cluster.calls import Calls, between_machines
from apps.compiler.emitters.cluster.objects import Account
from apps.compiler.graph import MeshExposure, Service
from tests.compiler.cluster.estate import SURROUNDINGS, emitted
from tests.compiler.cluster.test_verifier import CALL, GRAPH, HOST, token
from tests.deploy.built import Image, folder, why_not
from tests.meshagent.console import INGEST_TOKEN, NODE_TOKEN, FakeConsole
from tests.meshagent.estate import CART, PAYMENTS, Mesh, until
from tests.meshagent.test_calls import plain
from tests.meshclient import Client, EchoApplication
from tests.meshfixtures import Authority
from tests.netpol.lab import inside, run
from tests.netpol.lab import why_not as why_no_network
from tests.ports import free_block, free_port
from tests.servers import stores
from tests.verifiers import Verifier

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can")]
CONSOLE_PORT, CALLS_PORT = 8000, 15001
PASSWORD = "correct horse battery"
BEHIND_A_PROXY = {
    "Host": "sallyport.example.com",
    "X-Forwarded-Proto": "https",
    "Referer": "https://sallyport.example.com/",
}
ACCOUNT = Account("shop", "payments")
MESH = Mesh(8443, 9102, 9202)
AROUND = replace(SURROUNDINGS, console_url=f"http://127.0.0.1:{CONSOLE_PORT}", emitters=frozenset())


@pytest.fixture
def network() -> Iterator[str]:
    """A namespace with a loopback and nothing else: a pod's."""
    if why := why_no_network("nft"):
        pytest.skip(why)
    name = f"sallyport-{os.getpid()}-image"
    run("ip", "netns", "add", name)
    run("ip", "-n", name, "link", "set", "lo", "up")
    try:
        yield name
    finally:
        run("ip", "netns", "del", name)


@pytest.fixture
def place() -> Iterator[Path]:
    made = folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def console(network: str, authority: Authority) -> Iterator[FakeConsole]:
    made = FakeConsole(authority, CONSOLE_PORT)
    with inside(network):
        made.up()
    yield made
    made.down()


@contextlib.contextmanager
def started(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        log.chmod(0o666)  # a runtime gives its outputs to whoever runs in the container
        process = subprocess.Popen(argv, stdout=output, stderr=output)
    try:
        yield process
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text(errors='replace')[-3000:]}") from error
    finally:
        process.terminate()
        process.wait(20)


def volumes(place: Path, user: int, files: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, Path]:
    """A pod's: settings and secrets that can be read, and a folder of its own."""
    for name, found in (("settings", files), ("secrets", secrets)):
        (place / name).mkdir()
        for file, text in found.items():
            (place / name / file).write_text(text)
    (place / "root").mkdir()
    os.chown(place / "root", user, user)
    return {
        sidecar.SETTINGS: place / "settings",
        sidecar.SECRETS: place / "secrets",
        sidecar.ROOT: place / "root",
    }


def container(template: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    [found] = template["spec"][part]
    return dict(found)


def test_the_door_enrols_and_serves_as_its_manifest_starts_it(network: str, place: Path) -> None:
    authority = Authority()
    beside = Service("payments", "Payments", mesh=MeshExposure("shop", PAYMENTS, MESH.port, MESH.upstream_port))
    ways = Calls(between_machines([beside], {"payments": f"127.0.0.1:{MESH.port}"}))
    wanted = sidecar.Sidecar("", "mesh", calls=replace(ways, port=CALLS_PORT))
    template = sidecar.template(beside, wanted)
    with Image.of("door") as image, console(network, authority) as fake:
        secrets = {
            "node.token": NODE_TOKEN,
            "telemetry.token": INGEST_TOKEN,
            "bundle-keys.json": json.dumps(fake.pinned),
        }
        mounts = volumes(place, sidecar.USER, sidecar.config_map(beside, AROUND, wanted)["data"], secrets)
        first = container(template, "initContainers")
        rights = [one.lower() for one in first["securityContext"]["capabilities"]["add"]]
        rules = image.argv(first["command"], mounts=mounts, user=0, rights=rights, namespace=network)
        for _ in range(2):
            done = subprocess.run(rules, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
        command = container(template, "containers")["command"]
        door = image.argv(command, mounts=mounts, namespace=network)
        with inside(network), EchoApplication([MESH.upstream_port]), started(door, place / "log"):
            fake.publish(MESH.artifacts(MESH.grant()), 1)
            fake.wait_report(revision=1, state="active", seconds=60)
            assert fake.certificates == [PAYMENTS]
            cart = authority.issue(CART)
            with Client(authority.pem, cart.key_pem + cart.certificate_pem) as client:
                assert client.send("GET", "/charges/7", port=MESH.port).status == 200
            assert plain(CALLS_PORT, "payments:9202")[0] in (403, 421)
            assert plain(CALLS_PORT, "127.0.0.1")[1]["reason"] == "no_grant"
            [told, *_] = fake.wait_events(1)
            assert (told["subject"], told["verdict"]) == (f"workload:{CART}", "allow")
        owners = {path.stat().st_uid for path in (place / "root").rglob("*") if path.is_file()}
        assert owners == {sidecar.USER}


def test_the_verifier_judges_as_its_manifest_starts_it(place: Path) -> None:
    port = free_block(2)
    verifier = Verifier(place, port)
    verifier.mount(emitted(GRAPH, replace(SURROUNDINGS, verifier=f"sallyport/sp-verifier:{port}")))
    work = place / "work"
    work.mkdir()
    with Image.of("verifier") as image:
        os.chown(work, int(image.config["User"].partition(":")[0]), -1)
        argv = image.argv(mounts={"/etc/sallyport": verifier.conf, "/run/sallyport": work})
        with started(argv, place / "log"):
            until(verifier.is_up, 30)
            status, told = verifier.ask(CALL, host=HOST, headers=[("Txn-Token", token())])
            assert (status, told["x-sallyport-grant"]) == (204, "g-ada")
            assert verifier.ask(CALL, host=HOST)[0] == 403


def test_the_probe_pod_reports_as_its_manifest_starts_it(network: str, place: Path) -> None:
    settings, deployment = probe_pod.objects(ACCOUNT, AROUND, probe_pod.ProbePod(""))
    told = json.loads(settings["data"]["probe.json"]) | {"reach": ["127.0.0.1"], "poll_seconds": 1}
    with Image.of("door") as image, console(network, Authority()) as fake:
        mounts = volumes(place, sidecar.USER, {"probe.json": json.dumps(told)}, {"node.token": NODE_TOKEN})
        command = container(deployment["spec"]["template"], "containers")["command"]
        fake.ask([{**MESH.probe(PAYMENTS, "allow"), "port": MESH.upstream_port, "how": "http"}])
        argv = image.argv(command, mounts=mounts, namespace=network)
        with inside(network), EchoApplication([MESH.upstream_port]), started(argv, place / "log"):
            [found] = fake.wait_probed(60)["probes"]
    assert (found["verdict"], found["reason"]) == ("allow", "answered_200")


def test_the_console_migrates_answers_with_pages_works_and_stops(place: Path) -> None:
    port, tmp = free_port(), place / "tmp"
    tmp.mkdir(mode=0o777)
    tmp.chmod(0o777)
    with Image.of("console") as image, stores() as held:
        environment = {
            "SALLYPORT_URL": "https://sallyport.example.com",
            "SALLYPORT_ALLOWED_HOSTS": "sallyport.example.com",
            "SALLYPORT_SECRET_KEY": token_urlsafe(50),
            "SALLYPORT_SECRETS_KEY": "A" * 43 + "=",
            "DATABASE_URL": held.database_url,
            "REDIS_URL": held.redis_url,
        }

        def argv(*command: str) -> list[str]:
            return image.argv(command, mounts={"/tmp": tmp}, environment=environment)

        def manage(*command: str, told: str = "") -> str:
            whole = argv("python", "manage.py", *command)
            done = subprocess.run(whole, capture_output=True, text=True, timeout=600, input=told)
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        assert "no issues" in manage("check", "--deploy")
        manage("migrate", "-v0")
        manage("create_operator", "olga", told=f"{PASSWORD}\n{PASSWORD}\n")
        web = [*image.config["Cmd"][:-1], str(port)]
        work = ["celery", "-A", "console", "worker", "-P", "threads", "-l", "INFO"]
        beat = ["celery", "-A", "console", "beat", "--pidfile=", "--schedule=/tmp/schedule"]
        with (
            started(argv(*web), place / "web") as serving,
            started(argv(*work), place / "worker") as worker,
            started(argv(*beat), place / "beat") as beating,
        ):
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(f"{url}/healthz/ready"), 120)
            with _signed_in(url) as person:
                home = person.get(f"{url}/", timeout=30)
                assert home.status_code == 200
                style = next(part for part in home.text.split('"') if part.startswith("/static/css/"))
                assert person.get(f"{url}{style}", timeout=30).status_code == 200
                until(lambda: "Task outbox.sweep" in (place / "worker").read_text(), 120)
                assert "Warning" not in (place / "worker").read_text()
                assert [one.name for one in tmp.iterdir() if not one.name.startswith("schedule")] == []
                watched = person.get(f"{url}/live/stream", stream=True, timeout=30)
                assert watched.status_code == 200
                for process, most in ((serving, 9), (worker, 30), (beating, 30)):
                    process.terminate()
                    assert process.wait(most) in (0, -signal.SIGTERM)


@contextlib.contextmanager
def _signed_in(url: str) -> Iterator[requests.Session]:
    """A browser as the proxy in front lets it through. Its cookies are for TLS, so they are carried by hand."""
    with requests.Session() as session:
        session.headers.update(BEHIND_A_PROXY)
        page = f"{url}/django-admin/login/"
        token = session.get(page, timeout=30).cookies["csrftoken"]
        session.headers["Cookie"] = f"csrftoken={token}"
        form = {"username": "person:olga", "password": PASSWORD, "csrfmiddlewaretoken": token}
        answer = session.post(page, form, allow_redirects=False, timeout=30)
        assert answer.status_code == 302
        session.headers["Cookie"] = f"__Host-sallyport={answer.cookies['__Host-sallyport']}"
        yield session


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).status_code == 200
    except requests.RequestException:
        time.sleep(0.1)
        return False
