"""A stream that is there already becomes ours by its number: shown first, agreed to, then changed as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apps.audit.errors import InvalidInput
from apps.audit.models import Event
from apps.rollout.drivers.akamai.stream import StreamDriver, StreamWish
from apps.rollout.models import EdgeStream, Target
from apps.rollout.services import moving
from apps.rollout.services.akamai import adopting_streams, streaming
from apps.rollout.services.akamai.adopting_streams import NothingToAdopt
from apps.rollout.services.akamai.streaming import StreamInput
from apps.rollout.services.driving import akamai_api
from tests.deliveries import Receiver, receiving
from tests.factories import access as factory
from tests.localedge.standin import StandIn
from tests.rollout.akamai.test_streaming import HOST, OLGA, step, streams, work
from tests.rollout.world import Hands, edge_spec, make_target

pytestmark = pytest.mark.django_db


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
def target(standin: StandIn) -> Target:
    factory.shop()
    made = make_target(edge_spec(standin.control))
    assert moving.set_up(target=made, at=datetime.now(UTC))
    return Target.objects.get()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def their_wish(receiver: Receiver, name: str = "theirs", property_id: int = 1) -> StreamWish:
    endpoint = f"{receiver.address}/their/logs"
    return StreamWish(name, 1, "C-LOCAL", property_id, ("them@shop.test",), endpoint, "them", "their secret")


@pytest.fixture
def theirs(target: Target, receiver: Receiver) -> int:
    """Somebody's stream, for the same property."""
    with_api = akamai_api(target)
    made = StreamDriver(with_api).create(their_wish(receiver)).id
    with_api.close()
    return made


def ask(hands: Hands, receiver: Receiver, number: int | None) -> EdgeStream:
    given = StreamInput(HOST, "ops@shop.test", receiver.address, number)
    return streaming.ask(slug="edge", given=given, actor=OLGA, at=hands.clock())


def shown(hands: Hands, receiver: Receiver, number: int) -> EdgeStream:
    ask(hands, receiver, number)
    for _ in range(30):
        stream = step(hands)
        if stream.candidate and stream.candidate["status"] == "ACTIVATED":
            return stream
        hands.push(seconds=11)
    raise AssertionError(stream.error)


def test_it_is_shown_and_nothing_is_changed_before_somebody_agrees(
    standin: StandIn, receiver: Receiver, hands: Hands, theirs: int
) -> None:
    stream = shown(hands, receiver, theirs)
    assert stream.candidate == {
        "name": "theirs",
        "version": 1,
        "status": "ACTIVATED",
        "endpoint": f"{receiver.address}/their/logs",
        "field_count": 10,
    }
    hands.push(minutes=6)
    assert step(hands).stream_id is None
    assert [one["streamName"] for one in streams(standin)] == ["theirs"]


def test_agreed_to_it_is_ours_under_the_same_number(
    standin: StandIn, receiver: Receiver, hands: Hands, theirs: int
) -> None:
    shown(hands, receiver, theirs)
    adopting_streams.agree(slug="edge", version=1, actor=OLGA, at=hands.clock())
    stream = work(hands, "ACTIVATED")
    assert (stream.stream_id, stream.adopting, stream.candidate) == (theirs, None, {})
    (made,) = streams(standin)
    assert made["streamName"] == "sallyport-edge"
    assert made["destination"]["endpoint"] == f"{receiver.address}/telemetry/v1/datastream/edge"
    agreed = Event.objects.get(action="rollout.stream.adoption_agreed").after
    assert (agreed["number"], agreed["was"]["name"]) == (theirs, "theirs")


def test_one_that_changed_after_it_was_shown_is_shown_again(
    target: Target, receiver: Receiver, hands: Hands, theirs: int
) -> None:
    shown(hands, receiver, theirs)
    adopting_streams.agree(slug="edge", version=1, actor=OLGA, at=hands.clock())
    api = akamai_api(target)
    StreamDriver(api).replace(theirs, their_wish(receiver, "theirs, changed"))
    api.close()
    for _ in range(30):
        stream = step(hands)
        hands.push(seconds=11)
    assert (stream.stream_id, stream.candidate["version"]) == (None, 2)
    with pytest.raises(NothingToAdopt):
        adopting_streams.agree(slug="edge", version=1, actor=OLGA, at=hands.clock())


def test_what_is_not_there_is_said_and_another_wish_forgets_it(
    standin: StandIn, receiver: Receiver, hands: Hands
) -> None:
    ask(hands, receiver, 4711)
    assert step(hands).error == f"{HOST}: there is no stream 4711."
    ask(hands, receiver, None)
    assert work(hands, "ACTIVATED").found["name"] == "sallyport-edge"
    assert len(streams(standin)) == 1


def test_beside_a_stream_that_delivers_no_other_is_adopted(receiver: Receiver, hands: Hands, theirs: int) -> None:
    ask(hands, receiver, None)
    own = work(hands, "ACTIVATED").stream_id
    with pytest.raises(InvalidInput) as refused:
        ask(hands, receiver, theirs)
    assert list(refused.value.fields) == ["stream_id"]
    assert ask(hands, receiver, own).adopting is None


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ((2,), "is not of the property of this host"),
        ((1, 2, 3), "delivers for 2 more properties, whose lines would stop"),
    ],
)
def test_one_that_others_need_is_left_alone(
    receiver: Receiver, theirs: int, target: Target, properties: tuple[int, ...], said: str
) -> None:
    api = akamai_api(target)
    found = StreamDriver(api).get(theirs)
    api.close()
    assert found is not None
    shared = type(found)(found.id, "theirs", 1, "ACTIVATED", properties)
    with pytest.raises(adopting_streams.NotToAdopt, match=said):
        adopting_streams._require_adoptable(shared, their_wish(receiver))
