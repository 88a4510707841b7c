"""The configuration file: one JSON object, read and checked once, at start.

Needed: ``control`` and ``data`` (host:port), ``state_dir``, ``origin`` (URL), ``origin_ca``, ``origin_cert``,
``origin_key``, ``credentials``. With defaults: ``data_staging`` (none), ``origin_identity``, ``origin_idle_seconds``,
``log_file``, ``log_bytes``, ``ship`` {url, token_file}, ``name`` (the node in decision lines), ``activation_delay``
{STAGING, PRODUCTION} and ``kv_delay`` in seconds, ``activations_per_minute``, ``activations_per_day``,
``versions_per_minute``, ``kv_token_style`` (``reference``, or ``value`` for EdgeKV tokens of the older kind),
``kv_token_days`` (until a token ends; none: never, 180 for the older kind), ``edgeworker_id`` (what the property
runs; the first id that is created), ``edgeworker_groups`` [{groupId, groupName}], ``contract_ids``, ``account``,
``hostnames`` (of the one property that is served here), ``other_properties`` [{name, hostnames, contractId, groupId}]
(of which only the configuration is kept), ``stream_pace`` (1 delivers DataStream lines as often as asked for, 0.01 a
hundred times as often), ``node`` (a binary), ``origins`` {id: URL} (conditional origins of the property, shown the same
certificate as the usual one), ``guarded_hosts`` {host: name of a list}: who is not on the active list of that
name is refused at the host, as by a security policy. Limits come with each id's resource tier.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

NETWORKS = ("STAGING", "PRODUCTION")
DEFAULT_LOG_BYTES = 64 * 1024 * 1024


class BadConfig(Exception):
    """The configuration file cannot be used; the message names the setting."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @classmethod
    def parse(cls, setting: str, text: str) -> Address:
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit():
            raise BadConfig(f"'{setting}' must be host:port, not {text!r}")
        return cls(host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Credential:
    client_token: str
    client_secret: str
    access_token: str


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class PropertySettings:
    """Where a property is, and the hosts it serves."""

    name: str
    hostnames: tuple[str, ...]
    contract: str
    group: int


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """``identity``: the DNS name or URI in the origin's certificate; None: its host name or the forwarded one.

    ``others``: URLs of conditional origins, by the id that the code may route to.
    """

    url: str
    ca: Path
    cert: Path
    key: Path
    identity: str | None
    idle_seconds: float
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShipSettings:
    url: str
    token_file: Path


@dataclass(frozen=True, slots=True)
class Config:
    control: Address
    listeners: Mapping[str, Address]
    state_dir: Path
    origin: OriginSettings
    credentials: tuple[Credential, ...]
    groups: tuple[Group, ...] = (Group(1, "Local edge"),)
    contracts: tuple[str, ...] = ("C-LOCAL",)
    account: str = "A-LOCAL"
    hostnames: tuple[str, ...] = ("api.shop.localhost",)
    others: tuple[PropertySettings, ...] = ()
    activation_delay: Mapping[str, float] = field(default_factory=lambda: {"STAGING": 0.2, "PRODUCTION": 0.4})
    activations_per_minute: int = 20
    activations_per_day: int = 500
    versions_per_minute: int = 20
    kv_delay: float = 0.0
    kv_token_style: str = "reference"  # noqa: S105 - a kind of token
    kv_token_days: int | None = None
    edgeworker_id: int | None = None
    name: str = "edge-local"
    log_file: Path | None = None
    log_bytes: int = DEFAULT_LOG_BYTES
    ship: ShipSettings | None = None
    node: str | None = None
    guarded_hosts: Mapping[str, str] = field(default_factory=dict)
    stream_pace: float = 1.0

    @property
    def properties(self) -> Mapping[int, PropertySettings]:
        """By id; the first is the one that is served."""
        first = PropertySettings("local-edge", self.hostnames, self.contracts[0], self.groups[0].id)
        return dict(enumerate((first, *self.others), start=1))


Raw = Mapping[str, object]


def load_config(path: Path) -> Config:
    try:
        raw = cast("Raw", json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise BadConfig(f"cannot read {path}: {error}") from error
    return parse_config(raw)


def parse_config(raw: Raw) -> Config:
    listeners = {"PRODUCTION": Address.parse("data", _text(raw, "data"))}
    if raw.get("data_staging"):
        listeners["STAGING"] = Address.parse("data_staging", _text(raw, "data_staging"))
    required = {
        "control": Address.parse("control", _text(raw, "control")),
        "listeners": listeners,
        "state_dir": Path(_text(raw, "state_dir")),
        "origin": _origin(raw),
        "credentials": _credentials(raw),
    }
    return Config(**required, **_optional(raw))  # type: ignore[arg-type]  # the keys are Config's, the values checked above


def _text(raw: Raw, name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise BadConfig(f"'{name}' must be a text")
    return value


def _origin(raw: Raw) -> OriginSettings:
    identity = raw.get("origin_identity")
    return OriginSettings(
        url=_text(raw, "origin"),
        ca=Path(_text(raw, "origin_ca")),
        cert=Path(_text(raw, "origin_cert")),
        key=Path(_text(raw, "origin_key")),
        identity=str(identity) if identity else None,
        idle_seconds=float(cast("float", raw.get("origin_idle_seconds", 300))),
        others=dict(cast("Mapping[str, str]", raw.get("origins") or {})),
    )


def _credentials(raw: Raw) -> tuple[Credential, ...]:
    try:
        found = tuple(Credential(**entry) for entry in cast("list[dict[str, str]]", raw["credentials"]))
    except (KeyError, TypeError) as error:
        raise BadConfig(f"'credentials' must list client_token, client_secret and access_token: {error}") from error
    if not found:
        raise BadConfig("'credentials' is empty: nobody could call the control API")
    return found


def _optional(raw: Raw) -> dict[str, object]:
    """Settings with defaults: taken as they are when given, converted where JSON has no such type."""
    given = {name: raw[name] for name in _PLAIN if raw.get(name) is not None} | _account(raw)
    if raw.get("activation_delay"):
        delays = cast("Mapping[str, float]", raw["activation_delay"])
        given["activation_delay"] = {network: float(delays[network]) for network in NETWORKS}
    if raw.get("log_file"):
        given["log_file"] = Path(_text(raw, "log_file"))
    if raw.get("ship"):
        ship = cast("Raw", raw["ship"])
        given["ship"] = ShipSettings(_text(ship, "url"), Path(_text(ship, "token_file")))
    if raw.get("guarded_hosts"):
        guarded = cast("Mapping[str, str]", raw["guarded_hosts"])
        given["guarded_hosts"] = {str(host): str(name) for host, name in guarded.items()}
    if raw.get("hostnames"):
        given["hostnames"] = tuple(cast("list[str]", raw["hostnames"]))
    return given


def _account(raw: Raw) -> dict[str, object]:
    """What belongs to the account: groups, contracts, properties."""
    given: dict[str, object] = {}
    if raw.get("edgeworker_groups"):
        groups = cast("list[dict[str, object]]", raw["edgeworker_groups"])
        given["groups"] = tuple(Group(int(str(group["groupId"])), str(group["groupName"])) for group in groups)
    if raw.get("contract_ids"):
        given["contracts"] = tuple(cast("list[str]", raw["contract_ids"]))
    if raw.get("other_properties"):
        given["others"] = tuple(_property(one) for one in cast("list[Raw]", raw["other_properties"]))
    return given


def _property(raw: Raw) -> PropertySettings:
    names = tuple(cast("list[str]", raw["hostnames"]))
    return PropertySettings(_text(raw, "name"), names, _text(raw, "contractId"), int(str(raw["groupId"])))


_PLAIN = (
    "account",
    "activations_per_day",
    "activations_per_minute",
    "edgeworker_id",
    "kv_delay",
    "kv_token_days",
    "kv_token_style",
    "log_bytes",
    "name",
    "node",
    "stream_pace",
    "versions_per_minute",
)
