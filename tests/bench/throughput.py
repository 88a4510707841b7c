"""Requests a second through both doors, against the same road without anybody who looks.

The unchecked road has the same hops: a local edge whose bundle does nothing, then NGINX twice over the same mutual TLS
with the same certificates, each with an ordinary access log, then the same application. Both are measured in turn.
While the console is suspended nobody stores what the doors report; the last rounds are measured with it at work.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.compiler.emitters.nginx import identity_slug, server_name
from apps.meshagent import binary
from deploy.demo import client, servers
from tests.bench import latency, report
from tests.localedge.standin import StandIn, eventually
from tests.ports import free_port
from tests.running import Running, running_demo

SECONDS, ROUNDS, CONNECTIONS = 4, 3, 16
SERVICE, CALLER, PATH = "products", "frontend", "/products"
HOST = "api.shop.localhost"

NGINX = """
{load}worker_processes {workers};
pid nginx.pid;
error_log error.log;
worker_shutdown_timeout 1s;
events {{ worker_connections 4096; }}
http {{
    access_log access.log;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    keepalive_requests 100000;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:sessions:4m;
    ssl_session_tickets off;
    ssl_client_certificate {ca};
    ssl_verify_client on;
    ssl_verify_depth 3;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_buffering off;
    proxy_request_buffering off;
    proxy_ssl_trusted_certificate {ca};
    proxy_ssl_verify on;
    proxy_ssl_verify_depth 3;
    proxy_ssl_name {name};
    proxy_ssl_server_name on;
    upstream app {{ server 127.0.0.1:{app}; keepalive 32; keepalive_timeout 4s; }}
    upstream plain {{ server 127.0.0.1:{sidecar}; keepalive 32; }}
    upstream checked {{ server 127.0.0.1:{checked}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{ingress} ssl;
        ssl_certificate {ingress_id}/cert.pem;
        ssl_certificate_key {ingress_id}/key.pem;
        proxy_ssl_certificate {ingress_id}/cert.pem;
        proxy_ssl_certificate_key {ingress_id}/key.pem;
        location {base}/ {{ proxy_pass https://plain/; }}
    }}
    server {{
        listen 127.0.0.1:{sidecar} ssl;
        ssl_certificate {own_id}/cert.pem;
        ssl_certificate_key {own_id}/key.pem;
        location / {{ proxy_pass http://app; }}
    }}
    server {{
        listen 127.0.0.1:{to_checked};
        access_log off;
        proxy_ssl_certificate {caller_id}/cert.pem;
        proxy_ssl_certificate_key {caller_id}/key.pem;
        location / {{ proxy_pass https://checked; }}
    }}
    server {{
        listen 127.0.0.1:{to_plain};
        access_log off;
        proxy_ssl_certificate {caller_id}/cert.pem;
        proxy_ssl_certificate_key {caller_id}/key.pem;
        location / {{ proxy_pass https://plain; }}
    }}
}}
"""


@dataclass(frozen=True)
class Road:
    url: str
    headers: Mapping[str, str]


def main(*, quick: bool) -> None:
    rounds = 1 if quick else ROUNDS
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-") as folder:
        state = Path(folder)
        try:
            with running_demo(state / "demo") as demo, unchecked(demo, state) as roads:
                found = measure(demo, roads, rounds)
        finally:
            servers.forget(state / "demo")
    show(found)


def measure(demo: Running, roads: Mapping[str, Road], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with suspended(demo):
        for _ in range(rounds):
            for name, road in roads.items():
                found.setdefault(name, []).append(load(road))
    whole = [name for name in roads if name.startswith("edge")]
    for _ in range(rounds):
        for name in whole:
            found.setdefault(f"{name}, console at work", []).append(load(roads[name]))
    return found


@contextmanager
def suspended(demo: Running) -> Iterator[None]:
    """The doors decide by themselves; meanwhile the console, its worker and its clock stand still."""
    pids = [pid for name in ("uvicorn", "celery") for pid in demo.pids(name)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def unchecked(demo: Running, folder: Path) -> Iterator[dict[str, Road]]:
    """The roads, checked and not, once each of them answers 200."""
    service = demo.api("olga").get(f"services/{SERVICE}/")
    base = next(one["base_path"] for one in service["exposures"] if one["point"] == "edge")
    token = opened(demo)
    with plain_mesh(demo, folder, base) as ports:
        standin = plain_edge(demo, folder / "edge", ports["ingress"])
        try:
            headers = {"Host": HOST, "Authorization": f"Bearer {token}"}
            roads = {
                "edge and mesh, unchecked": Road(f"http://127.0.0.1:{standin.ports['data']}{base}{PATH}", headers),
                "edge and mesh, checked": Road(f"http://{demo.state['edge_address']}{base}{PATH}", headers),
                "mesh, unchecked": Road(f"http://127.0.0.1:{ports['to_plain']}{PATH}", {}),
                "mesh, checked": Road(f"http://127.0.0.1:{ports['to_checked']}{PATH}", {}),
            }
            for name, road in roads.items():
                status, body = call(road)
                assert status == 200, (name, status, body)
            yield roads
        finally:
            standin.stop_if_running()


def opened(demo: Running) -> str:
    """An edge token of somebody who may read the products, with a grant that was asked for and proven."""
    wish = next(
        one
        for one in latency.wishes_of(demo)
        if one.service == SERVICE and one.method == "GET" and one.url.endswith(f"/{SERVICE}{PATH}")
    )
    asker, request = latency.open_request(demo, wish)
    assert latency.last_approval(demo, request)().status_code == 200
    latency.settled(lambda: asker.get(f"requests/{request['id']}/")["grant"], "proven")
    return client.edge_token(demo.state, wish.who)


@contextmanager
def plain_mesh(demo: Running, folder: Path, base: str) -> Iterator[dict[str, int]]:
    root, found = folder / "nginx", binary.find(None)
    (root / "temp").mkdir(parents=True)
    mesh = mesh_of(demo)
    ports = {name: free_port() for name in ("ingress", "sidecar", "to_checked", "to_plain")}
    values: dict[str, Any] = {
        "load": "user root;\n" if os.geteuid() == 0 else "",
        "workers": min(4, os.cpu_count() or 1),
        "ca": demo.places.state / "agent/ca.pem",
        "name": server_name(mesh[SERVICE]["workload"]),
        "app": mesh[SERVICE]["port"],
        "checked": mesh[SERVICE]["sidecar_port"],
        "base": base,
        "ingress_id": identity(demo, ingress_of(demo)),
        "own_id": identity(demo, mesh[SERVICE]["workload"]),
        "caller_id": identity(demo, mesh[CALLER]["workload"]),
        **ports,
    }
    (root / "nginx.conf").write_text(NGINX.format(**values))
    argv = [found.path, "-p", f"{root}/", "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"]
    process = subprocess.Popen(argv, cwd=root, stderr=subprocess.DEVNULL)
    try:
        yield ports
    finally:
        process.terminate()
        process.wait(10)


def mesh_of(demo: Running) -> dict[str, dict[str, Any]]:
    return {one["service"]: one for one in document(demo, "samples")["services"]}


def ingress_of(demo: Running) -> str:
    return str(document(demo, "agent")["workloads"][0])


def document(demo: Running, name: str) -> dict[str, Any]:
    return dict(json.loads((demo.places.state / f"{name}.json").read_text()))


def identity(demo: Running, workload: str) -> Path:
    return demo.places.state / "agent/identities" / identity_slug(workload)


def plain_edge(demo: Running, folder: Path, ingress: int) -> StandIn:
    """A local edge like the demo's, with a bundle that looks at nothing."""
    own = document(demo, "edge")
    same = {name: own[name] for name in ("origin_identity", "origin_ca", "origin_cert", "origin_key")}
    standin = StandIn(folder, {**same, "origin": f"https://127.0.0.1:{ingress}"})
    standin.start()
    standin.deploy("export function onClientRequest(request) {}")
    return standin


def call(road: Road) -> tuple[int, bytes]:
    def once() -> tuple[int, bytes] | None:
        where = urlsplit(road.url)
        connection = http.client.HTTPConnection(where.netloc, timeout=10)
        try:
            connection.request("GET", where.path, headers=dict(road.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return None
        finally:
            connection.close()

    found: tuple[int, bytes] = eventually(once)
    return found


def load(road: Road) -> float:
    """Requests a second that were answered with 200; anything else is a failure of the benchmark."""
    return with_wrk(road) if shutil.which("wrk") else with_threads(road)


def with_wrk(road: Road) -> float:
    headers = [part for name, value in road.headers.items() for part in ("-H", f"{name}: {value}")]
    argv = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *headers, road.url]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS + 30, check=True).stdout
    assert "Non-2xx" not in done, done
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", done)
    assert per_second is not None, done
    return float(per_second[1])


def with_threads(road: Road) -> float:
    """For machines without wrk. It costs more than what it measures, so ratios come out nearer to one."""
    answers: Counter[int] = Counter()
    until = time.monotonic() + SECONDS

    def work() -> None:
        where = urlsplit(road.url)
        connection = http.client.HTTPConnection(where.netloc, timeout=20)
        while time.monotonic() < until:
            connection.request("GET", where.path, headers=dict(road.headers))
            answer = connection.getresponse()
            answer.read()
            answers[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}, answers
    return answers[200] / SECONDS


def show(found: Mapping[str, list[float]]) -> None:
    rows, ratios = [], {}
    for name, values in found.items():
        against = found[name.replace("unchecked", "checked").replace("checked", "unchecked", 1)]
        each = [one / other for one, other in zip(values, against, strict=True)]
        ratios[name] = {"median": statistics.median(each), "least": min(each), "most": max(each)}
        ratio = f"{statistics.median(each):.2f} ({min(each):.2f} - {max(each):.2f})"
        rows.append((name, f"{statistics.median(values):.0f}", "" if against is values else ratio))
    tool = "wrk" if shutil.which("wrk") else "threads"
    report.table(
        f"GET {PATH}, {CONNECTIONS} connections, {SECONDS} s each, {len(rows)} roads in turn, by {tool}",
        ("requests a second", "median", "of the unchecked (range)"),
        rows,
    )
    report.write("throughput", {"tool": tool, "requests_per_second": found, "ratios": ratios})
