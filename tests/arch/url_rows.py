"""A row of the matrix of addresses: what four callers get, and how the address is filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apps.access.models import GuardedHost
from tests.factories.access import environment
from tests.factories.clusters import cluster_target, pulled_target
from tests.factories.edges import address_list, edge_stream, edge_target, origin_certificate, property_change
from tests.factories.pages import House, guardrail
from tests.factories.upkeep import clean_up, question, standing_grant

SIGN_IN, GONE_ON, NOT_YOURS, HIDDEN, NOT_SO, OK = 302, 302, 403, 404, 422, 200


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


def pulled(there: House) -> list[object]:
    return [cluster_target(datetime.now(UTC), "inside", delivery="pulled").slug]


def with_agent(there: House) -> list[object]:
    return [pulled_target(datetime.now(UTC)).slug]


def cluster(there: House) -> list[object]:
    return [cluster_target(datetime.now(UTC)).slug]


def strange(there: House) -> list[object]:
    return ["edge", address_list(datetime.now(UTC)).pk]


def to_adopt(there: House) -> list[object]:
    """A stream of somebody else's that was looked at."""
    stream = edge_stream(datetime.now(UTC))
    stream.stream_id, stream.adopting, stream.candidate = (
        None,
        9,
        {
            "name": "theirs",
            "version": 3,
            "status": "ACTIVATED",
            "endpoint": "https://logs.shop.test",
            "field_count": 4,
        },
    )
    stream.save()
    return ["edge"]


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


def guarded(there: House) -> list[object]:
    """Without a line in the record, which counts what a caller changes."""
    given = {"why": "Partners only.", "created_at": datetime.now(UTC)}
    row, _ = GuardedHost.objects.get_or_create(environment=environment(), host="c.shop.localhost", defaults=given)
    return [row.pk]


def unguarding(there: House) -> dict[str, object]:
    guarded(there)
    return {"host": "c.shop.localhost", "detached": True}


def wall(there: House) -> list[object]:
    return [guardrail().slug]


def tidied(there: House) -> list[object]:
    return [clean_up(there.shop, datetime.now(UTC)).public_id]


def questioned(there: House) -> list[object]:
    return [question(there.shop, datetime.now(UTC)).public_id]


def standing(there: House) -> str:
    """The id of access that has no end."""
    return standing_grant(there.shop, datetime.now(UTC)).public_id


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
