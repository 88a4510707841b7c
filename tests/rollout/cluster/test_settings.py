"""What an operator may say of a cluster, and what is wrong with it."""

from __future__ import annotations

import pytest

from apps.rollout.cluster.settings import ClusterSettings, complaints, what_ends

SOUND = {"emitters": ["nic"], "namespaces": ["shop"]}
BOTH = {"upstream_tls_secret": "ingress-identity", "upstream_ca_secret": "mesh-ca"}


def test_what_leads_to_a_door_is_named_whole_or_not_at_all() -> None:
    assert complaints(SOUND) == {}
    assert complaints({**SOUND, **BOTH}) == {}


@pytest.mark.parametrize("lacking", sorted(BOTH))
def test_half_of_it_is_refused_and_the_other_half_is_asked_for(lacking: str) -> None:
    half = {**SOUND, **BOTH, lacking: ""}
    assert complaints(half) == {lacking: ["Name both: what the ingress shows to doors, and whom it believes there."]}


def chosen(*emitters: str) -> ClusterSettings:
    return ClusterSettings(emitters=emitters, namespaces=("shop",))


def test_what_is_taken_off_is_told_by_what_it_guarded() -> None:
    every = chosen("networkpolicy", "nic", "smi")
    assert what_ends(every, every) == ()
    assert what_ends(chosen("nic"), every) == ()
    assert what_ends(every, chosen("networkpolicy", "smi")) == ()
    [network, mesh] = what_ends(every, chosen("nic"))
    assert network.startswith("Without NetworkPolicy everybody in the cluster can connect")
    assert mesh.startswith("Without SMI nobody can call")
