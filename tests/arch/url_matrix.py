"""Every named address, and what four callers get there: nobody, somebody unconcerned, an agent, somebody entitled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.factories.pages import (
    House,
    address_list,
    edge_stream,
    edge_target,
    guardrail,
    origin_certificate,
    property_change,
)

SIGN_IN, GONE_ON, NOT_YOURS, HIDDEN, OK = 302, 302, 403, 404, 200


@dataclass(frozen=True)
class Row:
    """``by`` is who is entitled. ``changes`` says that the entitled leave something in the record, and nobody else."""

    right: int = OK
    wrong: int = OK
    agent: int = OK
    anonymous: int = SIGN_IN
    by: str = "ada"
    method: str = "get"
    args: Callable[[House], list[object]] = lambda there: []
    data: Callable[[House], Mapping[str, object]] = lambda there: {}
    changes: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def asked(there: House) -> list[object]:
    return [there.asked.public_id]


def granted(there: House) -> list[object]:
    return [there.grant.public_id]


def mesh(there: House) -> list[object]:
    return ["mesh"]


def edge(there: House) -> list[object]:
    return [edge_target(datetime.now(UTC)).slug]


def strange(there: House) -> list[object]:
    return ["edge", address_list(datetime.now(UTC)).pk]


def planned(there: House) -> list[object]:
    return ["edge", property_change(datetime.now(UTC)).pk]


def warned(there: House) -> list[object]:
    return ["edge", property_change(datetime.now(UTC), "warned").pk]


def logged(there: House) -> list[object]:
    return [edge_stream(datetime.now(UTC), secrets=2).target.slug]


def logged_once(there: House) -> list[object]:
    return [edge_stream(datetime.now(UTC)).target.slug]


def certified(there: House) -> list[object]:
    return [origin_certificate(datetime.now(UTC)).target.slug]


def first(there: House) -> list[object]:
    return ["mesh", 1]


def payments(there: House) -> list[object]:
    return ["payments"]


def ada(there: House) -> list[object]:
    return ["person:ada"]


def wall(there: House) -> list[object]:
    return [guardrail().slug]


def acme(there: House) -> list[object]:
    return ["acme"]


def okta(there: House) -> list[object]:
    return [there.provider.slug]


def aws(there: House) -> list[object]:
    return [there.principal.stable_id]


SOURCE = {"issuer": "https://id.shop.test", "jwks_uri": "https://id.shop.test/keys", "audience": "us"}


def bot(there: House) -> list[object]:
    return [there.shop.bot.key]


def page(**more: object) -> Row:
    return Row(**more)  # type: ignore[arg-type]  # passed on as given


def act(**more: object) -> Row:
    """A form: the unconcerned are sent back with words, and nothing happens."""
    return Row(**{"method": "post", "right": GONE_ON, "wrong": GONE_ON, "agent": GONE_ON, "changes": True, **more})  # type: ignore[arg-type]  # passed on as given


def watched(**more: object) -> Row:
    """For those who watch over the estate."""
    return page(**{"wrong": NOT_YOURS, "agent": NOT_YOURS, "by": "olga", **more})


def administered(**more: object) -> Row:
    """For administrators."""
    return watched(**more)


PAGES = {
    "home": page(),
    "search": page(),
    "theme": page(method="post", right=GONE_ON, wrong=GONE_ON, agent=GONE_ON, anonymous=GONE_ON),
    "reasons": page(anonymous=OK),
    "edge_sign_in": page(data=lambda there: {"host": "api.shop.localhost", "challenge": "A" * 43}),
    "catalogue": page(),
    "import": page(by="olga"),
    "service": page(args=payments),
    "service_around": page(args=payments),
    "service_traffic": page(args=payments),
    "requests": page(),
    "waiting": page(),
    "decide": act(by="ben", data=lambda there: {"request": there.asked.public_id, "verdict": "approve", "sure": "1"}),
    "request_new": act(
        wrong=GONE_ON,
        changes=False,
        data=lambda there: {"service": "payments", "routes": "list", "duration": "3600", "reason": "To look."},
    ),
    "request_addresses": page(data=lambda there: {"service": "payments"}),
    "traffic_new": act(
        wrong=GONE_ON,
        changes=False,
        data=lambda there: {
            "service": "payments",
            "routes": "list",
            "duration": "3600",
            "reason": "To look.",
            "calls_per_minute": "5",
        },
    ),
    "request": page(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "request_change": page(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "request_review": act(args=asked, by="ben", wrong=HIDDEN, agent=HIDDEN, data=lambda there: {"verdict": "approve"}),
    "request_cancel": act(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "request_events": page(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "access": page(),
    "grant": page(args=granted, right=GONE_ON, wrong=HIDDEN, agent=HIDDEN),
    "grant_end": act(args=granted, wrong=HIDDEN, agent=HIDDEN),
    "live": page(),
    "live-stream": page(anonymous=SIGN_IN),
    "call": page(args=lambda there: [there.rid], wrong=HIDDEN, agent=HIDDEN),
    "call_ask": page(args=lambda there: [there.rid], right=GONE_ON, wrong=HIDDEN, agent=HIDDEN),
    "rollout": page(),
    "target": watched(args=mesh),
    "target_events": watched(args=mesh),
    "target_connect": watched(args=edge),
    "target_preflight": watched(args=edge),
    "target_preflight_events": watched(args=edge),
    "target_export": watched(args=edge),
    "target_export_file": watched(args=edge, right=HIDDEN),
    "revision_export": watched(args=lambda there: [*edge(there), 1], right=HIDDEN),
    "target_property": watched(args=edge),
    "target_property_events": watched(args=edge),
    "target_property_agree": act(args=planned, by="olga", data=lambda there: {"shown": "e1"}),
    "target_property_accept": act(args=warned, by="olga", data=lambda there: {"warning": "msg_1"}),
    "target_property_drop": act(args=planned, by="olga"),
    "target_place": watched(args=edge),
    "target_releases": watched(args=edge),
    "target_releases_events": watched(args=edge),
    "target_stream": watched(args=logged),
    "target_stream_events": watched(args=logged),
    "target_stream_renew": act(args=logged_once, by="olga"),
    "target_stream_end_secret": act(args=logged, by="olga"),
    "target_stream_stop": act(args=logged_once, by="olga"),
    "target_certificate": watched(args=certified),
    "target_certificate_events": watched(args=certified),
    "target_certificate_renew": act(args=certified, by="olga"),
    "target_certificate_plan": act(args=certified, by="olga"),
    "target_look": act(args=mesh, by="olga", changes=False),
    "target_approve": act(args=mesh, by="olga", changes=False),
    "target_stop": act(args=mesh, by="olga", changes=False),
    "target_try_again": act(args=mesh, by="olga"),
    "target_production": act(args=mesh, by="olga", data=lambda there: {"production": "approved"}, changes=False),
    "list_put_back": act(args=strange, by="olga"),
    "drift_put_back": act(args=lambda there: ["mesh", there.drift.pk], by="olga", changes=False),
    "drift_adopt": act(args=lambda there: ["mesh", there.drift.pk], by="olga", changes=False),
    "revision": watched(args=first),
    "revision_roll_back": act(args=first, by="olga", changes=False),
    "audit": page(),
    "audit_event": page(args=lambda there: [1], wrong=HIDDEN, agent=HIDDEN, by="cyd"),
    "audit_verify": act(by="cyd", changes=False),
    "audit_tamper": act(by="cyd", changes=False),
    "audit_export": page(args=lambda there: ["csv"]),
    "settings": page(right=GONE_ON, wrong=GONE_ON, agent=GONE_ON),
    "gallery": page(),
    "rules": page(),
    "rule_new": page(by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS),
    "rule": page(by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS, args=lambda there: ["owner-approves"]),
    "rule_retire": act(by="cyd", args=lambda there: ["critical-writes-are-short"], data=lambda there: {"version": "1"}),
    "guardrails": page(),
    "hosts": page(),
    "guardrail_new": page(by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS),
    "guardrail": page(by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS, args=wall),
    "guardrail_retire": act(by="cyd", args=wall, data=lambda there: {"version": "1"}),
    "outbox": watched(),
    "outbox_retry": act(args=lambda there: [there.dead.pk], by="olga"),
    "sign_in": page(right=GONE_ON, wrong=GONE_ON, agent=GONE_ON, anonymous=OK),
    "sign_out": page(method="post", right=GONE_ON, wrong=GONE_ON, agent=GONE_ON, anonymous=GONE_ON),
    "demo_sign_in": act(args=ada, changes=False, anonymous=GONE_ON),
    "people": page(),
    "parties": page(),
    "teams": page(),
    "workloads": page(),
    "agents": page(),
    "subject": page(args=ada),
    "subject_move": act(args=ada, by="cyd", data=lambda there: {"to": "suspended"}),
    "login_link": act(args=ada, by="olga", data=lambda there: {"provider": "acme", "sub": "00u7"}),
    "login_link_own": act(args=lambda there: ["acme"], changes=False),
    "login_unlink": act(args=lambda there: [there.login.pk], by="olga"),
    "sessions_end": page(args=ada, by="ada", wrong=NOT_YOURS, agent=NOT_YOURS),
    "subject_left": page(args=ada, by="cyd", wrong=NOT_YOURS, agent=NOT_YOURS),
    "aws": watched(),
    "aws_sync": act(by="olga", data=lambda there: {"role": "own"}),
    "aws_principal": page(args=aws, by="olga", wrong=HIDDEN, agent=HIDDEN),
    "aws_bind": act(
        args=aws, by="olga", wrong=HIDDEN, agent=HIDDEN, data=lambda there: {"subject": there.shop.bot.key}
    ),
    "providers": administered(),
    "provider_add": administered(),
    "provider": administered(args=acme),
    "provider_edit": administered(args=acme),
    "provider_test": act(args=acme, by="olga", right=OK, changes=False),
    "provider_switch": act(args=acme, by="olga", data=lambda there: {"to": "off"}),
    "client_key_make": act(args=acme, by="olga"),
    "client_key_take_away": act(args=lambda there: [there.client_key.provider.slug, there.client_key.pk], by="olga"),
    "signals": page(wrong=NOT_YOURS, agent=NOT_YOURS, by="cyd"),
    "signal_sender": watched(args=okta),
    "signal_secret": act(args=okta, by="olga", right=OK),
    "signal_secret_revoke": act(args=lambda there: [there.provider.slug, there.secret.pk], by="olga"),
    "signal_source": act(args=okta, by="olga", data=lambda there: SOURCE),
    "proofs": page(args=bot, wrong=NOT_YOURS, agent=NOT_YOURS, by="olga"),
    "proof_end": act(args=lambda there: [there.shop.bot.key, there.proof.pk], by="olga"),
    "limits": act(args=bot, by="olga", data=lambda there: {"calls_per_day": "10"}),
    "issuers": page(),
    "issuer_switch": act(args=lambda there: ["github"], by="olga", data=lambda there: {"to": "off"}),
    "tokens": page(),
    "directories": watched(),
    "directory": watched(args=lambda there: [there.directory.provider.slug]),
    "scim_log": watched(args=lambda there: [there.directory.provider.slug]),
    "scim_exchange": watched(args=lambda there: [there.directory.exchange.pk]),
    "directory_token_revoke": act(by="olga", args=lambda there: [there.directory.secret.pk]),
    "identity_center_add": administered(),
    "identity_center_read": act(
        by="olga", args=lambda there: [there.center.slug], data=lambda there: {"confirmed": "yes"}
    ),
    "mapping": watched(args=lambda there: [there.directory.provider.slug]),
    "mapping_remove": watched(args=lambda there: [there.directory.provider.slug, there.directory.rule.pk]),
    "mapping_confirm": act(
        by="olga",
        args=lambda there: [there.directory.pending.pk],
        data=lambda there: {"shown": there.directory.shown},
    ),
    "mapping_discard": act(by="olga", args=lambda there: [there.directory.pending.pk]),
    "token_revoke": act(args=lambda there: [there.token.pk], wrong=HIDDEN, agent=HIDDEN),
}

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
    "api:requests": api(),
    "api:request": api(args=asked, wrong=HIDDEN, agent=HIDDEN),
    "api:request-review": api_act(args=asked, by="ben", data=lambda there: {"verdict": "approve"}, changes=True),
    "api:request-cancel": api_act(args=asked, changes=True),
    "api:grants": api(),
    "api:grant": api(args=granted, wrong=HIDDEN, agent=HIDDEN),
    "api:grant-end": api_act(args=granted, changes=True),
    "api:calls": api(),
    "api:call-gaps": api(),
    "api:targets": api_watched(),
    "api:target-stream": api_watched(args=logged),
    "api:target-stream-stop": api_watched(args=logged_once, method="post", right=202, changes=True),
    "api:target-stream-renew": api_watched(args=logged_once, method="post", right=202, changes=True),
    "api:target-stream-end-secret": api_watched(args=logged, method="post", changes=True),
    "api:target-connection": api_watched(args=edge),
    "api:target-preflight": api_watched(args=edge),
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

NODE = {"anonymous": NOBODY, "wrong": NOBODY, "agent": NOBODY, "right": NOBODY}

MACHINES = {
    "health-live": page(anonymous=OK),
    "health-ready": page(anonymous=OK),
    "scim": page(**NODE),
    "scim-resource": page(args=lambda there: ["Users"], **NODE),
    "oauth-token": page(method="post", anonymous=400, wrong=400, agent=400, right=400),
    "signals-okta-events": page(method="post", args=okta, **NODE),
    "signals-global-token-revocation": page(method="post", args=okta, **NODE),
    "ssf-events": page(method="post", args=okta, anonymous=400, wrong=400, agent=400, right=400),
    "jwks": page(anonymous=OK),
    "oauth-metadata": page(anonymous=OK),
    "agent-certificates": page(method="post", **NODE),
    "agent-bundle": page(**NODE),
    "agent-artifacts": page(method="post", **NODE),
    "agent-reports": page(method="post", **NODE),
    "telemetry-ingest": page(method="post", **NODE),
    "telemetry-datastream": page(method="post", args=edge, **NODE),
    "oidc_authenticate": page(args=acme, anonymous=GONE_ON, wrong=GONE_ON, agent=GONE_ON, right=GONE_ON),
    "oidc_callback": page(args=acme, anonymous=NOT_YOURS, wrong=NOT_YOURS, agent=NOT_YOURS, right=NOT_YOURS),
    "oidc_jwks": page(args=acme, anonymous=OK),
    "oidc_backchannel_logout": page(method="post", args=acme, anonymous=400, wrong=400, agent=400, right=400),
}

MATRIX: dict[str, Row] = {**PAGES, **API, **MACHINES}
