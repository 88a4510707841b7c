"""Keys stay on the node; certificates are renewed at two thirds of their life, without a gap."""

from __future__ import annotations

import socket
import ssl
import stat
import time
from pathlib import Path

from cryptography import x509

from tests.meshagent.console import FakeConsole
from tests.meshagent.estate import CART, HOSTED, PAYMENTS, Agent, Mesh, until
from tests.meshfixtures import Authority
from tests.ports import free_ports

SECONDS = 1 / 86400


def test_every_workload_gets_a_key_of_its_own_that_only_we_may_read(
    agent: Agent, console: FakeConsole, mesh: Mesh
) -> None:
    console.publish(mesh.artifacts(), 1)
    console.wait_report(revision=1, state="active")
    assert sorted(console.certificates) == sorted(HOSTED)
    keys = list((agent.root / "identities").glob("*/key.pem"))
    assert len({key.read_bytes() for key in keys}) == len(HOSTED)
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_a_restart_asks_for_no_new_certificates(agent: Agent, console: FakeConsole, mesh: Mesh) -> None:
    console.publish(mesh.artifacts(), 1)
    console.wait_report(revision=1, state="active")
    agent.kill()
    console.reports.clear()
    agent.start()
    console.wait_report(revision=1, state="active")
    assert len(console.certificates) == len(HOSTED)


def served_fingerprint(port: int, authority: Authority, caller: tuple[Path, Path]) -> int:
    """The serial number of the certificate that a sidecar shows."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.check_hostname = False
    context.load_cert_chain(*caller)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5)) as stream:
        shown = stream.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def test_certificates_are_renewed_in_time_and_the_old_ones_work_until_then(
    tmp_path: Path, authority: Authority, mesh: Mesh
) -> None:
    """Certificates here live for nine seconds, so they are due after six."""
    console = FakeConsole(authority, free_ports(9)[8], lifetime=(-1 * SECONDS, 8 * SECONDS))
    console.up()
    with Agent.install(tmp_path, console).running() as agent:
        console.publish(mesh.artifacts(mesh.grant()), 1)
        first = console.wait_report(revision=1, state="active")
        started = time.monotonic()
        client = agent.client(authority, CART)
        old = {one["workload"]: one["fingerprint"] for one in first["identities"]}

        def renewed() -> bool:
            assert client.send("GET", "/charges/7", port=mesh.port).status == 200
            last = {one["workload"]: one["fingerprint"] for one in console.reports[-1]["identities"]}
            return set(old.values()).isdisjoint(last.values())

        until(renewed, seconds=12)
        assert time.monotonic() - started < 8.5
        folder = next((agent.root / "identities").glob("payments-*"))
        stored = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes()).serial_number
        caller = next((agent.root / "identities").glob("cart-*"))
        pair = (caller / "cert.pem", caller / "key.pem")
        assert served_fingerprint(mesh.port, authority, pair) == stored
        assert old[PAYMENTS]
    console.down()


def test_a_certificate_for_another_key_is_not_used(tmp_path: Path, authority: Authority, mesh: Mesh) -> None:
    console = FakeConsole(_Careless(), free_ports(9)[8])
    console.up()
    with Agent.install(tmp_path, console, workloads=(CART,)).running() as agent:
        until(lambda: "the certificate is for another key" in agent.log())
        assert not list((agent.root / "identities").glob("cart-*"))
    console.down()


class _Careless(Authority):
    def sign_request(self, workload: str, csr_pem: str, *, days: tuple[float, float] = (-1, 1)) -> bytes:
        return self.issue(workload).certificate_pem
