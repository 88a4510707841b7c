"""What becomes of a mesh's objects, and whom the policy would shut out."""

from __future__ import annotations

from dataclasses import replace

from apps.compiler.emitters.cluster.migration import Fate, compare, pairs, shut_out
from apps.compiler.emitters.cluster.objects import ingress_account
from apps.compiler.graph import Point
from apps.compiler.impact import Call
from tests.compiler.cluster.estate import SURROUNDINGS, emitted, parsed
from tests.compiler.estate import CART_ID, HOUR, NIGHT, estate

INGRESS = ingress_account(SURROUNDINGS)
MESH = parsed(emitted(estate(), replace(SURROUNDINGS, emitters=frozenset({"smi"}))))
NIC = parsed(emitted(estate(), replace(SURROUNDINGS, emitters=frozenset({"nic"}))))
INSIDE = "shop/cart may call shop/payments"
OUTSIDE = "people and agents may call shop/payments"


def test_pairs_are_read_from_targets() -> None:
    assert {(pair.source.name, pair.destination.name) for pair in pairs(MESH)} >= {
        ("cart", "payments"),
        ("nginx-ingress", "payments"),
    }


def test_an_ingress_alone_loses_who_calls_inside() -> None:
    fates = {moved.what: moved.fate for moved in compare(MESH, NIC, ingress=INGRESS, sidecars=False)}
    assert (fates[INSIDE], fates[OUTSIDE]) == (Fate.LOST, Fate.KEPT)


def test_with_sidecars_of_ours_nothing_is_lost() -> None:
    moved = compare(MESH, NIC, ingress=INGRESS, sidecars=True)
    assert {one.fate for one in moved} == {Fate.KEPT}


def test_without_an_ingress_nobody_outside_comes_in() -> None:
    fates = {moved.what: moved.fate for moved in compare(MESH, (), ingress=INGRESS, sidecars=True)}
    assert (fates[INSIDE], fates[OUTSIDE]) == (Fate.KEPT, Fate.LOST)


def test_recorded_calls_that_passed_are_asked_of_the_policy() -> None:
    known = Call(CART_ID, "POST", "payments", "/charges", Point.MESH, NIGHT + HOUR)
    unlisted = replace(known, subject="workload:spiffe://shop.test/ns/shop/sa/batch")
    found = shut_out([known, unlisted, known], estate())
    assert (found.newly_denied, found.newly_allowed, found.unchanged) == (1, 0, 2)
    assert [example.call for example in found.denied_examples] == [unlisted]
