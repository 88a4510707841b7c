"""A door of ours on a machine that runs a service by itself: files and units of systemd, for copying.

The agent runs as a user of its own, because that is how the kernel tells the door's own calls from the application's.
"""

from __future__ import annotations

from collections.abc import Mapping

from apps.compiler.emitters.cluster.sidecar import (
    ROOT,
    SETTINGS,
    TABLE,
    Beside,
    Sidecar,
    agent_settings,
    place,
    redirection,
    written,
)
from apps.compiler.surroundings import ClusterSurroundings

USER = "sallyport"
UNITS = "/etc/systemd/system"


def files(beside: Beside, surroundings: ClusterSurroundings, sidecar: Sidecar, node: str) -> Mapping[str, str]:
    """By the path they belong to."""
    door = _DOOR.format(service=place(beside).id, settings=SETTINGS, root=ROOT, user=USER)
    return {
        f"{SETTINGS}/agent.json": written(agent_settings(beside, surroundings, sidecar, node)),
        f"{SETTINGS}/redirect.nft": redirection(beside, sidecar, USER),
        f"{UNITS}/sallyport-redirect.service": _REDIRECT.format(settings=SETTINGS, table=TABLE),
        f"{UNITS}/sallyport-door.service": door,
    }


_HARDENED = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
"""

_REDIRECT = (
    """\
[Unit]
Description=Sallyport: connections of the application begin and end at its door
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {settings}/redirect.nft
ExecStop=/usr/sbin/nft delete table inet {table}
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_NETLINK AF_UNIX
IPAddressDeny=any
MemoryDenyWriteExecute=yes
ProcSubset=pid
ProtectProc=invisible
"""
    + _HARDENED
    + """
[Install]
WantedBy=sysinit.target
"""
)

_DOOR = (
    """\
[Unit]
Description=Sallyport: the door of {service}
Requires=sallyport-redirect.service
After=sallyport-redirect.service network-online.target
Wants=network-online.target

[Service]
User={user}
StateDirectory=sallyport
StateDirectoryMode=0700
WorkingDirectory=/opt/sallyport
ExecStart=/opt/sallyport/.venv/bin/python -m apps.meshagent --config {settings}/agent.json
Environment=PYTHONDONTWRITEBYTECODE=1
Restart=always
RestartSec=1
LimitNOFILE=65536
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
ProtectProc=invisible
PrivateTmp=yes
PrivateUsers=yes
ReadWritePaths={root}
"""
    + _HARDENED
    + """SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""
)
