"""What an edge has beside its code and items: lists of addresses, a stream of log lines, a client certificate.

The bodies are those the console itself sends. Nothing here is secret: the stream's password is left empty, and the
certificate's private key never leaves Akamai.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.compiler.address_lists import Item, sentence
from apps.rollout.drivers.akamai.keystore import CertificateWish, certificate_body
from apps.rollout.drivers.akamai.lists import CLIENT, NETWORK, Owner, Place, client_list, end_of, network_list
from apps.rollout.drivers.akamai.stream import StreamWish, stream_body
from apps.rollout.exports.laid_out import laid_out, pretty

NEVER = "never"


@dataclass(frozen=True, slots=True)
class HostList:
    """The list in front of a guarded host. ``live``: it was seen live on both networks as it should be."""

    product: str
    list_id: str
    owner: Owner
    place: Place
    items: tuple[Item, ...]
    live: bool

    @property
    def body(self) -> dict[str, Any]:
        make = client_list if self.product == CLIENT else network_list
        return make(self.owner, self.place, self.items)

    @property
    def ends(self) -> dict[str, str]:
        """By value. Only a client list keeps them itself."""
        return {item.value: end_of(item) or NEVER for item in self.items}

    @property
    def sentences(self) -> list[str]:
        return [f"{sentence(item)}: until {end_of(item) or 'somebody takes it out'}" for item in self.items]


@dataclass(frozen=True, slots=True)
class KeptStream:
    """``wish`` without its password."""

    id: int
    wish: StreamWish


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """``versions``: the numbers of those it has."""

    id: int
    wish: CertificateWish
    versions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BesideCode:
    lists: tuple[HostList, ...] = ()
    stream: KeptStream | None = None
    certificate: KeptCertificate | None = None

    @property
    def contracts(self) -> tuple[str, ...]:
        """Of everything here; empty where nobody knows it yet."""
        found = [one.place.contract_id for one in self.lists]
        found += [kept.wish.contract_id for kept in (self.stream, self.certificate) if kept]
        return tuple(found)

    @property
    def endless(self) -> tuple[HostList, ...]:
        """Lists whose entries do not end by themselves."""
        return tuple(one for one in self.lists if one.product == NETWORK)

    @property
    def cautions(self) -> tuple[str, ...]:
        if not self.endless:
            return ()
        hosts = ", ".join(one.owner.host for one in self.endless)
        return (
            f"The entries of a network list do not end by themselves ({hosts}): whoever applies it has to take each out"
            " at the time the file beside it says.",
        )


def files(beside: BesideCode) -> dict[str, bytes]:
    found = _list_files(beside)
    if beside.stream:
        found["datastream/stream.json"] = pretty(stream_body(beside.stream.wish))
    if beside.certificate:
        found["client-certificate/certificate.json"] = pretty(certificate_body(beside.certificate.wish))
    return found


def _list_files(beside: BesideCode) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for one in beside.lists:
        found[f"address-lists/{one.owner.host}.json"] = laid_out(one.body)
    for one in beside.endless:
        ends: Mapping[str, str] = one.ends
        found[f"address-lists/{one.owner.host}.ends.json"] = pretty(ends)
    return found
