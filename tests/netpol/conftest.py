from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agreement.network_model import End, Outside, Pod
from tests.netpol.lab import Lab, NoLab, Port, why_not

LABEL = "app.kubernetes.io/name"
PORTS: tuple[Port, ...] = ((8080, "TCP"), (8081, "TCP"), (9090, "TCP"), (9090, "UDP"), (53, "UDP"), (53, "TCP"))


def _pod(namespace: str, name: str, **labels: str) -> Pod:
    named = {"http": (8080, "TCP"), "metrics": (9090, "TCP"), "events": (9090, "UDP")}
    return Pod(namespace, name, {LABEL: name, **labels}, named=named)


ENDS: tuple[End, ...] = (
    _pod("shop", "payments", tier="data"),
    _pod("shop", "cart", tier="web"),
    _pod("front", "web", tier="web"),
    _pod("front", "cart", tier="data"),
    _pod("kube-system", "dns", **{"k8s-app": "kube-dns"}),
    Outside("partner", "203.0.113.6"),
    Outside("neighbour", "203.0.113.10"),
)
NAMESPACES = {"shop": {"team": "money"}, "front": {"team": "pages"}, "kube-system": {}}


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    reason = why_not("nft")
    if reason:
        pytest.skip(reason)
    try:
        with Lab.of(ENDS, PORTS) as built:
            yield built
    except NoLab as error:
        pytest.skip(str(error))
