"""What a cluster refuses, in its own words, and what is left untouched then. Against a real cluster too."""

from __future__ import annotations

from apps.rollout.drivers.kubernetes.driver import ClusterApi, FieldConflict, KubernetesDriver
from tests.contract.kubernetes.site import Hand, artifact, driver_for, plan_of, service_objects
from tests.localcluster.manifests import account, network_policy, target


def sources(hand: Hand, namespace: str, name: str = "sp-cart") -> list[str]:
    found = hand.get(target(namespace, name))
    assert found is not None
    return [one["name"] for one in found["spec"]["sources"]]


def test_a_conflict_names_the_other_manager_and_the_fields_and_nothing_is_forced(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    objects = service_objects(namespace, "cart", "web")
    driver.apply(plan_of(driver, objects))
    hand.merge(target(namespace, "sp-cart"), {"spec": {"sources": [account("evil", namespace)]}})
    step = driver.apply(plan_of(driver, objects, number=2))
    path = objects[1].path
    assert (step.done, step.trouble) == (False, "conflict")
    assert step.error.startswith(f"try TrafficTarget {namespace}/sp-cart: 409 Apply failed with 1 conflict: ")
    assert '"kubectl-edit"' in step.error
    assert driver.conflicts == {path: (FieldConflict("kubectl-edit", ".spec.sources"),)}
    assert sources(hand, namespace) == ["evil"]


def test_a_person_may_have_it_taken_over(api: ClusterApi, hand: Hand, namespace: str) -> None:
    driver = driver_for(api, namespace)
    objects = service_objects(namespace, "cart", "web")
    driver.apply(plan_of(driver, objects))
    hand.merge(target(namespace, "sp-cart"), {"spec": {"sources": []}})
    forced = driver_for(api, namespace, force_paths=frozenset({objects[1].path}))
    assert forced.apply(plan_of(forced, objects, number=2)).done
    assert sources(hand, namespace) == ["web"]


def test_what_somebody_else_made_under_our_name_is_left_alone(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    hand.apply(network_policy(namespace, "sp-cart", "web"), "helm")
    objects = service_objects(namespace, "cart", "pay")
    step = driver.apply(plan_of(driver, objects))
    assert (step.trouble, step.applied) == ("not_ours", {})
    assert step.error == (
        f"apply NetworkPolicy {namespace}/sp-cart: 409 is there already, made by helm, and is not ours"
    )
    assert hand.get(target(namespace, "sp-cart")) is None


def test_it_is_found_out_too_where_a_list_would_not_show_it(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    hand.apply(target(namespace, "sp-3", "web"), "helm")
    objects = [artifact(target(namespace, f"sp-{number}", "web"), f"s{number}") for number in range(12)]
    step = driver.apply(plan_of(driver, objects))
    assert (step.done, step.trouble, len(step.applied)) == (False, "not_ours", 11)


def test_one_service_that_is_refused_keeps_no_other_waiting(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    wrong = artifact(target(namespace, "sp-bad", "web", to="bad", destination={"kind": "ServiceAccount"}), "bad")
    also = artifact(network_policy(namespace, "sp-bad", "web"), "bad")
    good = service_objects(namespace, "cart", "web")
    step = driver.apply(plan_of(driver, [wrong, also, *good]))
    assert (step.done, step.trouble) == (False, "invalid")
    assert "spec.destination.name: Required value" in step.error
    assert set(step.applied) == {one.path for one in good}
    assert hand.get(network_policy(namespace, "sp-bad")) is None


def test_a_revocation_goes_through_though_a_grant_of_the_service_is_refused(
    driver: KubernetesDriver, hand: Hand, namespace: str
) -> None:
    kept, ended = service_objects(namespace, "cart", "web", "pay"), target(namespace, "sp-cart", "web")
    driver.apply(plan_of(driver, kept))
    narrower = artifact({**ended, "spec": {**ended["spec"], "rules": [{"kind": "HTTPRouteGroup", "name": "sp-cart"}]}})
    wrong = artifact(target(namespace, "sp-new", "web", destination={"kind": "ServiceAccount"}))
    step = driver.apply(plan_of(driver, [narrower, wrong], number=2))
    assert (step.done, step.applied) == (False, {narrower.path: narrower.sha256})
    assert sources(hand, namespace) == ["web"]


def test_a_field_the_definition_lacks_is_not_taken_for_an_outage(driver: KubernetesDriver, namespace: str) -> None:
    step = driver.apply(plan_of(driver, [artifact(target(namespace, "sp-cart", "web", internalRoute=True))]))
    assert step.trouble == "not_declared"
    assert ".spec.internalRoute: field not declared in schema" in step.error


def test_a_namespace_that_is_not_there_is_named(driver: KubernetesDriver) -> None:
    step = driver.apply(plan_of(driver, [artifact(network_policy("sallyport-nowhere", "a", "web"))]))
    assert (step.trouble, 'namespaces "sallyport-nowhere" not found' in step.error) == ("not_found", True)


def test_an_artifact_that_is_not_what_its_path_says_is_refused(driver: KubernetesDriver, namespace: str) -> None:
    one = artifact(network_policy(namespace, "a", "web"))
    other = type(one).of(one.path.replace("/a.json", "/b.json"), one.media_type, one.content)
    step = driver.apply(plan_of(driver, [other]))
    assert (step.done, step.trouble) == (False, "unknown_kind")
