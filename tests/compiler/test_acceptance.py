"""The decision table covers what it should, and an engine that differs is caught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings

from apps.compiler.acceptance import STRANGER, Outcome, Trial, decision_table, rehearse
from apps.compiler.doors import EdgeDoor
from apps.compiler.emitters.edgekv import GROUP, emit_item, item_key
from apps.compiler.emitters.edgeworker import emit_code
from apps.compiler.graph import AccessGraph
from apps.compiler.paths import example_path, matches, parse_template, segments
from apps.compiler.reasons import Reason
from apps.compiler.slices import split
from apps.localedge.runner import EdgeRunner
from tests.agreement.edge import observed
from tests.agreement.strategies import TEMPLATES, Situation, TokenFault, situations
from tests.compiler.estate import CONSOLE, FORGE, GRANTS, NIGHT, SURROUNDINGS, estate


@dataclass(frozen=True)
class InV8:
    """The engine the rollout will use, fed with tokens as the console signs them."""

    runner: EdgeRunner

    def run(self, trials: Sequence[Trial]) -> Sequence[Outcome]:
        return [self._run(trial) for trial in trials]

    def _run(self, trial: Trial) -> Outcome:
        claims = {
            "iss": CONSOLE,
            "aud": "sallyport-edge",
            "sub": trial.subject,
            "iat": trial.issued,
            "exp": trial.at + 300,
        }
        headers = {"Authorization": FORGE.make(claims, TokenFault.NONE, trial.at).values} if trial.subject else {}
        call = trial.call
        answer = observed(
            self.runner.run({"method": call.method, "host": call.host, "path": call.path, "headers": headers}, trial.at)
        )
        return Outcome(answer.allowed, answer.reason)


def loaded(graph: AccessGraph) -> EdgeRunner:
    items = {
        (SURROUNDINGS.namespace, GROUP, item_key(service)): emit_item(part, service, SURROUNDINGS).content.decode()
        for service, part in split(graph)
    }
    return EdgeRunner({artifact.path: artifact.content for artifact in emit_code(graph, SURROUNDINGS)}, items)


def test_the_compiled_estate_reproduces_its_table_in_v8() -> None:
    table = decision_table(estate(), NIGHT)
    with loaded(estate()) as runner:
        assert rehearse(InV8(runner), table) == ()


def test_a_bundle_with_yesterdays_grants_is_caught() -> None:
    yesterday = replace(estate(), grants=GRANTS[1:])
    with loaded(yesterday) as runner:
        found = rehearse(InV8(runner), decision_table(estate(), NIGHT))
    assert found
    assert found[0].sentence == (
        f"POST api.shop.test/payments/orders/x1/refunds by person:ada at {NIGHT}: "
        "the engine says no_grant, the policy says granted."
    )


def test_the_table_turns_every_grant_at_its_seconds() -> None:
    table = decision_table(estate(), NIGHT)
    seen = {
        (trial.at - NIGHT, trial.reason)
        for trial in table
        if trial.subject == "person:ada" and "refunds" in trial.call.path
    }
    hours = 18 * 3600
    assert seen == {
        (-1, Reason.GRANT_NOT_STARTED),
        (0, Reason.GRANTED),
        (hours - 1, Reason.GRANTED),
        (hours, Reason.GRANT_EXPIRED),
    }


def test_the_table_knows_every_kind_of_refusal() -> None:
    reasons = {trial.reason for trial in decision_table(estate(), NIGHT)}
    assert reasons >= {Reason.NO_TOKEN, Reason.BAD_PATH, Reason.NO_ROUTE, Reason.NO_GRANT, Reason.GUARDRAIL}
    assert not any(trial.allowed for trial in decision_table(estate(), NIGHT) if trial.subject in (None, STRANGER))


def test_the_table_is_bounded_and_stable() -> None:
    assert decision_table(estate(), NIGHT) == decision_table(estate(), NIGHT)
    assert len(decision_table(estate(), NIGHT, most_per_service=3)) == 6


def test_a_grant_that_changed_is_tried_however_many_there_are() -> None:
    grant = next(one for one in GRANTS if one.subject == "person:ada")
    bens = replace(grant, subject="person:ben")
    many = tuple(replace(bens, id=f"a{number:04}", starts_at=NIGHT - number) for number in range(500))
    crowded = replace(estate(), grants=(*GRANTS, *many))

    def ada_is_let_in(table: Sequence[Trial]) -> bool:
        return any(trial.subject == "person:ada" and trial.allowed and "refunds" in trial.call.path for trial in table)

    assert not ada_is_let_in(decision_table(crowded, NIGHT, most_per_service=40))
    first = decision_table(crowded, NIGHT, most_per_service=40, first={grant.id})
    assert ada_is_let_in(first)
    assert {Reason.BAD_PATH, Reason.NO_TOKEN} <= {trial.reason for trial in first}


def test_example_paths_match_their_templates() -> None:
    for template in TEMPLATES:
        parts = segments(example_path(template))
        assert parts is not None
        assert matches(parse_template(template), parts)


@settings(max_examples=30, deadline=None)
@given(situations(faulty=0))
def test_the_table_is_what_the_door_would_answer(situation: Situation) -> None:
    door = EdgeDoor(situation.graph)
    for trial in decision_table(situation.graph, situation.cases[0].at):
        fault = Reason.NO_TOKEN if trial.subject is None else None
        decision = door.judge(trial.call, fault, trial.subject or "", trial.at, issued=trial.issued)
        assert (decision.allowed, decision.reason) == (trial.allowed, trial.reason)
