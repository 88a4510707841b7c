"""A cluster's network without a cluster: each pod a network namespace, wired through one that stands for the node.

Nothing outside these namespaces is touched, and no packet leaves this machine. Addresses are private or for examples.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from tests.agreement.network_model import End, Outside, Pod

PREFIX = "sallyport-"
NAMED = Path("/run/netns")
CLONE_NEWNET = 0x40000000
PATIENCE = 2.0
"""Seconds for an answer. What is refused is refused at once, so nobody waits for it unless the machine is busy."""

SWITCHES = {"ip_forward": "1", "icmp_ratemask": "0", "icmp_msgs_per_sec": "1000000", "icmp_msgs_burst": "100000"}
"""The node forwards, and tells everybody at once who is refused; by itself the kernel is slow to say so."""

_LIBC = ctypes.CDLL(None, use_errno=True)

Port = tuple[int, str]
"""Number and protocol."""


class NoLab(Exception):
    """This machine does not let us build one; the message says why."""


def why_not(*tools: str) -> str:
    """Why there can be no lab here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", *tools) if not tool_path(tool)]
    if missing:
        return f"{', '.join(missing)} not installed: see deploy/install-netns.sh"
    name = f"{PREFIX}{os.getpid()}-try"
    tried = subprocess.run([str(tool_path("ip")), "netns", "add", name], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"network namespaces cannot be made here: {tried.stderr.strip()}"
    subprocess.run([str(tool_path("ip")), "netns", "del", name], capture_output=True)
    return ""


def tool_path(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread is in the namespace; sockets made meanwhile stay in it."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(os.open(NAMED / namespace, os.O_RDONLY), close=True)
        try:
            yield
        finally:
            _enter(here)
    finally:
        os.close(here)


def _enter(descriptor: int, *, close: bool = False) -> None:
    try:
        if _LIBC.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        if close:
            os.close(descriptor)


def run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run([str(tool_path(argv[0])), *argv[1:]], input=stdin, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise NoLab(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Lab:
    """``ends`` have their addresses. Each listens on every port of ``ports``."""

    ends: tuple[End, ...]
    ports: tuple[Port, ...]
    _names: dict[str, str] = field(default_factory=dict)
    _listening: list[socket.socket] = field(default_factory=list)
    _udp_ports: Iterator[int] = field(default_factory=lambda: count(20000))

    @classmethod
    @contextlib.contextmanager
    def of(cls, ends: Iterable[End], ports: Sequence[Port]) -> Iterator[Lab]:
        lab = cls(tuple(_addressed(ends)), tuple(ports))
        sweep()
        try:
            lab._build()
            with lab._answering():
                yield lab
        finally:
            for one in lab._listening:
                one.close()
            sweep(own=True)

    @property
    def node(self) -> str:
        return f"{PREFIX}{os.getpid()}-node"

    def namespace_of(self, end: End) -> str:
        return f"{PREFIX}{os.getpid()}-{self.ends.index(end)}"

    def end(self, name: str) -> End:
        return next(one for one in self.ends if name in (one.name, f"{getattr(one, 'namespace', '')}/{one.name}"))

    def _build(self) -> None:
        every = [self.node, *(self.namespace_of(end) for end in self.ends)]
        run("ip", "-batch", "-", stdin="".join(f"netns add {name}\n" for name in every))
        links = [
            f"link add eth0 netns {self.namespace_of(end)} type veth peer name pod{place} netns {self.node}\n"
            for place, end in enumerate(self.ends)
        ]
        run("ip", "-batch", "-", stdin="".join(links))
        node = ["link set lo up"]
        for place, end in enumerate(self.ends):
            gateway = _neighbour(end.address)
            node += [f"address add {gateway}/30 dev pod{place}", f"link set pod{place} up"]
            own = ["link set lo up", f"address add {end.address}/30 dev eth0", "link set eth0 up"]
            commands = "\n".join([*own, f"route add default via {gateway}", ""])
            run("ip", "-n", self.namespace_of(end), "-batch", "-", stdin=commands)
        run("ip", "-n", self.node, "-batch", "-", stdin="\n".join([*node, ""]))
        with inside(self.node):
            for name, value in SWITCHES.items():
                _switch(name, value)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Every end says its address to whoever reaches it."""
        ended = threading.Event()
        with selectors.DefaultSelector() as selector:
            for end in self.ends:
                for listening in self._listen(end):
                    selector.register(listening, selectors.EVENT_READ, end.address.encode())
            thread = threading.Thread(target=_answer, args=(selector, ended), daemon=True)
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join(5)

    def _listen(self, end: End) -> Iterator[socket.socket]:
        with inside(self.namespace_of(end)):
            for port, protocol in self.ports:
                kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
                listening = socket.socket(socket.AF_INET, kind)
                self._listening.append(listening)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind((end.address, port))
                if protocol == "TCP":
                    listening.listen(64)
                listening.setblocking(False)
                yield listening

    def reached(self, source: End) -> set[tuple[str, int, str]]:
        """What ``source`` really gets an answer from: address, port, protocol; itself left out."""
        with inside(self.namespace_of(source)):
            return {
                (end.address, port, protocol)
                for end in self.ends
                if end != source
                for port, protocol in self.ports
                if self._answers(end, port, protocol)
            }

    def _answers(self, end: End, port: int, protocol: str) -> bool:
        kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as asking:
            asking.settimeout(PATIENCE)
            if protocol == "UDP":
                # A number of its own each time, so that the kernel takes no call for the answer to an earlier one.
                asking.bind(("", next(self._udp_ports)))
            try:
                asking.connect((end.address, port))
                if protocol == "UDP":
                    asking.send(b"?")
                return asking.recv(200) == end.address.encode()
            except (ConnectionError, OSError):
                return False


def _switch(name: str, value: str) -> None:
    path = Path(f"/proc/sys/net/ipv4/{name}")
    try:
        if path.exists():
            path.write_text(value)
    except OSError as error:
        raise NoLab(f"{name} cannot be set here: {error}") from error


def sweep(*, own: bool = False) -> None:
    """Removes namespaces of runs that are no more, or with ``own`` ours."""
    if not NAMED.exists():
        return
    for path in NAMED.glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).partition("-")[0]
        ours = owner == str(os.getpid())
        if (ours and own) or (owner.isdecimal() and not Path(f"/proc/{owner}").exists()):
            subprocess.run([str(tool_path("ip")), "netns", "del", path.name], capture_output=True)


def _addressed(ends: Iterable[End]) -> Iterator[End]:
    for place, end in enumerate(ends):
        yield end if isinstance(end, Outside) or end.address else replace(end, address=f"10.77.{place}.2")


def _neighbour(address: str) -> str:
    """The node's address on the same wire: the other one of a /30."""
    head, _, last = address.rpartition(".")
    return f"{head}.{int(last) - 1 if int(last) % 4 == 2 else int(last) + 1}"


def _answer(selector: selectors.BaseSelector, ended: threading.Event) -> None:
    while not ended.is_set():
        for key, _ in selector.select(timeout=0.05):
            listening = key.fileobj
            assert isinstance(listening, socket.socket)
            with contextlib.suppress(OSError):
                if listening.type == socket.SOCK_STREAM:
                    with listening.accept()[0] as accepted:
                        accepted.sendall(key.data)
                else:
                    _, sender = listening.recvfrom(200)
                    listening.sendto(key.data, sender)


__all__ = ["Lab", "NoLab", "Outside", "Pod", "Port", "inside", "run", "sweep", "tool_path", "why_not"]
