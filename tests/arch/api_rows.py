"""The addresses of the API, and what four callers get there: see ``url_matrix``."""

from __future__ import annotations

from tests.arch.url_rows import (
    HIDDEN,
    NOT_YOURS,
    OK,
    Row,
    ada,
    asked,
    aws,
    bot,
    certified,
    cluster,
    edge,
    first,
    granted,
    logged,
    logged_once,
    mesh,
    payments,
    questioned,
    strange,
    tidied,
    to_adopt,
    unguarding,
    wall,
    with_agent,
)
from tests.factories.clusters import CONTESTED

NOBODY, WRONG_INPUT = 401, 400


def api(**more: object) -> Row:
    return Row(**{"anonymous": NOBODY, **more})  # type: ignore[arg-type]  # passed on as given


def api_act(**more: object) -> Row:
    return api(**{"method": "post", "wrong": HIDDEN, "agent": HIDDEN, **more})


def api_watched(**more: object) -> Row:
    return api(**{"wrong": NOT_YOURS, "agent": NOT_YOURS, "by": "olga", **more})


API = {
    "api:schema": api(anonymous=OK),
    "api:docs": api(anonymous=OK),
    "api:errors": api(anonymous=OK),
    "api:error": api(anonymous=OK, args=lambda there: ["not_found"]),
    "api:me": api(),
    "api:tokens": api(),
    "api:token-revoke": api_act(args=lambda there: [there.token.pk], changes=True),
    "api:subjects": api(),
    "api:subject": api(args=ada),
    "api:subject-suspend": api_act(args=ada, by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS, changes=True),
    "api:subject-reinstate": api_act(args=ada, by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS),
    "api:proofs": api_watched(args=bot, agent=OK),
    "api:proof-end": api_act(
        args=lambda there: [there.shop.bot.key, there.proof.pk],
        by="olga",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        changes=True,
    ),
    "api:limits": api_watched(args=bot, agent=OK),
    "api:issuers": api(),
    "api:issuer-switch": api_act(
        args=lambda there: ["github"],
        by="olga",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        data=lambda there: {"enabled": False},
        changes=True,
    ),
    "api:aws-principals": api_watched(),
    "api:aws-principal": api(args=aws, by="olga", wrong=HIDDEN, agent=HIDDEN),
    "api:aws-principal-bind": api_act(
        args=aws, by="olga", right=201, data=lambda there: {"subject": there.shop.bot.key}, changes=True
    ),
    "api:aws-syncs": api_watched(method="post", right=202, data=lambda there: {"role": "own"}, changes=True),
    "api:subject-leave": api_act(args=ada, by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS, changes=True),
    "api:subject-sign-out": api_act(args=ada, by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS),
    "api:services": api(),
    "api:service": api(args=payments),
    "api:service-reach": api(args=payments),
    "api:imports": api_watched(),
    "api:rules": api(),
    "api:rule": api(args=lambda there: ["owner-approves"]),
    "api:rule-enable": api_act(
        args=lambda there: ["critical-writes-are-short"],
        by="cyd",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        data=lambda there: {"enabled": False, "version": 1},
        changes=True,
    ),
    "api:rule-preview": api_watched(
        args=lambda there: ["x"], by="cyd", method="post", data=lambda there: {"sentence": "x", "max_duration": 60}
    ),
    "api:guardrails": api(),
    "api:guardrail": api(args=wall),
    "api:guardrail-enable": api_act(
        args=wall,
        by="cyd",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        data=lambda there: {"enabled": False, "version": 1},
        changes=True,
    ),
    "api:guardrail-preview": api_watched(
        args=lambda there: ["x"], by="cyd", method="post", data=lambda there: {"sentence": "x"}
    ),
    "api:preview": api(method="post", right=WRONG_INPUT, wrong=WRONG_INPUT, agent=WRONG_INPUT),
    "api:decide": api(method="post", right=WRONG_INPUT, wrong=WRONG_INPUT, agent=WRONG_INPUT),
    "api:inbox": api(),
    "api:address-requests": api(method="post", right=WRONG_INPUT, wrong=WRONG_INPUT, agent=WRONG_INPUT),
    "api:hosts": api(),
    "api:host-guard": api_act(
        by="cyd",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        data=lambda there: {"host": "b.shop.localhost", "why": "Partners only."},
        changes=True,
    ),
    "api:host-stop": api_act(
        by="cyd",
        wrong=NOT_YOURS,
        agent=NOT_YOURS,
        data=unguarding,
        changes=True,
    ),
    "api:requests": api(),
    "api:request": api(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "api:request-review": api_act(args=asked, by="ben", data=lambda there: {"verdict": "approve"}, changes=True),
    "api:request-cancel": api_act(args=asked, changes=True),
    "api:grants": api(),
    "api:grant": api(args=granted, wrong=HIDDEN, agent=HIDDEN),
    "api:grant-end": api_act(args=granted, changes=True),
    "api:findings": api(),
    "api:clean-ups": api(),
    "api:clean-up": api(args=tidied, by="ben", wrong=HIDDEN, agent=HIDDEN),
    "api:clean-up-decide": api_act(args=tidied, by="ben", data=lambda there: {"agree": True}, changes=True),
    "api:clean-up-withdraw": api_act(args=tidied, changes=True),
    "api:standing": api(),
    "api:standing-answer": api_act(args=questioned, by="ben", data=lambda there: {"keep": False}, changes=True),
    "api:standing-schedule": api(),
    "api:map": api(),
    "api:map-service": api(args=payments),
    "api:calls": api(),
    "api:call-gaps": api(),
    "api:targets": api_watched(),
    "api:target-stream": api_watched(args=logged),
    "api:target-stream-stop": api_watched(args=logged_once, method="post", right=202, changes=True),
    "api:target-stream-adopt": api_watched(
        args=to_adopt, method="post", data=lambda there: {"version": 3}, right=202, changes=True
    ),
    "api:target-stream-renew": api_watched(args=logged_once, method="post", right=202, changes=True),
    "api:target-stream-end-secret": api_watched(args=logged, method="post", changes=True),
    "api:clusters": api_watched(method="post", right=400),
    "api:edges": api_watched(method="post", right=400),
    "api:target-cluster": api_watched(args=cluster),
    "api:target-closings": api_watched(args=cluster),
    "api:target-take-over": api_watched(
        args=cluster,
        method="post",
        data=lambda there: {"path": CONTESTED, "managers": "kubectl"},
        changes=True,
    ),
    "api:target-connection": api_watched(args=edge),
    "api:target-preflight": api_watched(args=edge),
    "api:target-leave": api_watched(args=edge, method="post", right=202, changes=True),
    "api:target-take-out": api_watched(args=cluster),
    "api:node-remove": api_watched(args=lambda there: [*with_agent(there), "agent"], method="post", changes=True),
    "api:sources": api_watched(),
    "api:source-revoke": api_watched(args=lambda there: ["edge"], method="post", changes=True),
    "api:target-certificate": api_watched(args=certified),
    "api:target-certificate-renew": api_watched(args=certified, method="post", right=202, changes=True),
    "api:target-certificate-plan": api_watched(args=certified, method="post", right=202, changes=True),
    "api:target-export": api_watched(args=edge, right=HIDDEN),
    "api:revision-export": api_watched(args=lambda there: [*edge(there), 1], right=HIDDEN),
    "api:target-delivery": api_watched(
        args=edge,
        method="post",
        data=lambda there: {"delivery": "exported", "kv_token_ref": "u-1"},
        changes=True,
    ),
    "api:revisions": api_watched(args=mesh),
    "api:revision-roll-back": api_watched(args=first, method="post", right=409),
    "api:activations": api_watched(args=mesh),
    "api:target-budget": api_watched(args=mesh),
    "api:target-approve": api_watched(args=mesh, method="post", data=lambda there: {"version": "1"}, right=409),
    "api:target-stop": api_watched(args=mesh, method="post", right=409),
    "api:target-try-again": api_watched(args=mesh, method="post", changes=True),
    "api:target-production": api_watched(
        args=mesh, method="post", data=lambda there: {"production": "approved"}, right=409
    ),
    "api:nodes": api_watched(args=mesh),
    "api:probes": api_watched(args=mesh),
    "api:lists": api_watched(args=edge),
    "api:list-put-back": api_watched(args=strange, method="post", changes=True),
    "api:drift": api_watched(args=mesh),
    "api:drift-adopt": api_watched(args=lambda there: [there.drift.pk], method="post", right=409),
    "api:target-releases": api_watched(args=edge),
    "api:target-safety": api_watched(args=edge),
    "api:drift-put-back": api_watched(args=lambda there: [there.drift.pk], method="post", right=409),
    "api:outbox": api_watched(),
    "api:outbox-retry": api_watched(args=lambda there: [there.dead.pk], method="post", changes=True),
    "api:audit": api_watched(by="cyd"),
    "api:audit-verification": api_watched(by="cyd"),
}
