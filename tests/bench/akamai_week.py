"""A week of an Akamai account: 2,000 grant changes, 20 code versions, and everything that goes wrong."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.bench import report, scratch
from tests.localedge.origin import serving
from tests.localedge.pki import EDGE_ID, LOOPBACK, ORIGIN_ID, Authority, dns, uri
from tests.localedge.standin import StandIn
from tests.rollout.week import HITS, LIMITS, Tally, Week

FULL, QUICK = (2000, 20), (60, 4)


def main(databases: scratch.Databases, *, quick: bool) -> None:
    changes, versions = QUICK if quick else FULL
    databases.make("akamai_week")
    with tempfile.TemporaryDirectory(prefix="sallyport-week-") as folder:
        authority = Authority(Path(folder))
        cert, key = authority.issue("origin", [uri(ORIGIN_ID), dns("api.shop.localhost"), LOOPBACK])
        with serving(authority.ca, cert, key) as origin:
            mine, its_key = authority.issue("edge", [uri(EDGE_ID)])
            place = {"origin": origin.url, "origin_ca": str(authority.ca)}
            standin = StandIn(
                Path(folder) / "standin", {**place, "origin_cert": str(mine), "origin_key": str(its_key), **LIMITS}
            )
            standin.start()
            try:
                tally = Week(standin, changes=changes, versions=versions).run()
            finally:
                standin.stop_if_running()
    show(tally)
    report.write("akamai-week", {"limits": {**LIMITS, "edgekv_hits_per_second": HITS}, **facts(tally)})
    if tally.lost or tally.refused or tally.unexplained:
        raise SystemExit(1)


def facts(tally: Tally) -> dict[str, object]:
    return {
        "changes": tally.changes,
        "versions_on_production": tally.versions,
        "failed_activations": tally.failed_activations,
        "drifts_put_back": tally.drifts,
        "alarms": tally.alarms,
        "refused_on_staging": tally.refused_on_staging,
        "taken_back_by_itself": tally.taken_back,
        "tokens_renewed": tally.tokens_renewed,
        "lost": tally.lost,
        "refused_for_too_many": tally.refused,
        "unexplained": tally.unexplained,
        "waits": dict(tally.waits),
        "troubles": dict(tally.troubles),
        "took": round(tally.seconds, 1),
    }


def show(tally: Tally) -> None:
    rows = [(name, json.dumps(value) if isinstance(value, dict) else value) for name, value in facts(tally).items()]
    report.table("A week at Akamai", ("what", "how many"), rows)
    for code, said in sorted(tally.words.items()):
        report.say(f"\n{code}: {said}")
