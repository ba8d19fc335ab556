"""A channel reads from and prints as text, and what cannot be is refused with what to write instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.channel import Burst, Channel, Distance
from coordinator.channel.keys import KEYS
from coordinator.world.world import World
from heliograph.environments import registry
from heliograph.errors import SettingsError

probabilities = st.floats(0, 1)
positive = st.floats(1e-3, 1e6)
slots = st.integers(0, 9)


@st.composite
def bursts(draw) -> Burst:
    loss = draw(st.floats(0, 0.99))
    return Burst(loss=loss, mean_steps=max(1.0, loss / (1 - loss)) * draw(st.floats(1.001, 50)))


@st.composite
def channels(draw) -> Channel:
    delay = draw(st.floats(0, 1e4))
    ends = draw(st.lists(st.tuples(slots, slots).filter(lambda pair: pair[0] != pair[1]), unique=True, max_size=3))
    return Channel(
        erasure=draw(probabilities),
        links=tuple((*pair, draw(probabilities)) for pair in ends),
        burst=draw(st.none() | bursts()),
        distance=draw(st.none() | st.builds(Distance, half=positive, exponent=positive)),
        delay_ms=delay,
        jitter_ms=draw(st.floats(0, delay)),
        deadline_ms=draw(positive),
        rate_bits=draw(st.none() | st.floats(0, 1e6)),
        nearest=draw(st.none() | slots),
        silent=tuple(draw(st.lists(slots, unique=True, max_size=3))),
    )


@given(channels())
def test_what_it_prints_reads_back_as_the_same(channel):
    text = str(channel)
    assert (Channel.parse(text) if text else Channel()) == channel


@given(st.text(alphabet="aebrsu=:,>0123.-inft", max_size=20) | st.sampled_from(list(KEYS)).map(lambda key: key + "=x"))
def test_any_text_is_a_channel_or_refused_with_a_remedy(text):
    refused = None
    try:
        Channel.parse(text)
    except SettingsError as error:
        refused = error
    assert refused is None or refused.message.startswith("channel: ")


def test_pairs_may_come_in_one_text_or_several():
    expected = Channel(
        erasure=0.1, links=((0, 1, 0.5), (1, 0, 0.2), (2, 0, 1.0)), burst=Burst(loss=0.3, mean_steps=5), silent=(2, 3)
    )
    assert Channel.parse("erasure=0.1,link=0>1:0.5,1>0:0.2,burst=0.3:5,silent=2,3,link=2>0:1") == expected
    assert Channel.parse("link=0>1:.5,1>0:.2", "silent=2, 3", "burst=.3:5", "link=2>0:1", "erasure=1e-1") == expected
    assert Channel.parse("distance=4") == Channel(distance=Distance(half=4.0, exponent=2.0))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("erasure=1.5", "must be a probability, not 1.5. Give a number from 0 to 1"),
        ("erasure=nan", "must be a probability"),
        ("erasur=0.5", "there is no 'erasur'. Did you mean erasure"),
        ("erasure", "'erasure' is not of the form key=value. Known are erasure=P"),
        ("erasure=0.1,erasure=0.2", "erasure is given twice"),
        ("erasure=much", "erasure=much cannot be read. Write erasure=P"),
        ("burst=0.3", "burst=0.3 cannot be read. Write burst=P:L"),
        ("burst=0.9:2", "2 steps on average cannot make up 0.9 of all steps. At that loss they last 9 steps"),
        ("burst=1:5", "never ends. Write erasure=1"),
        ("burst=0.3:0.5", "lasts 1 step or more"),
        ("link=0-1:0.5", "cannot be read. Write link=I>J:P"),
        ("link=1>1:0.5", "1>1 is no link"),
        ("link=0>1:0.5,0>1:0.6", "named twice"),
        ("distance=0", "distance must be a positive number"),
        ("distance=1:2:3", "cannot be read"),
        ("delay-ms=10,jitter-ms=20", "10 ms, give or take 20, would be negative at times"),
        ("delay-ms=-1", "delay-ms must be 0 or more"),
        ("deadline-ms=0", "deadline-ms must be positive"),
        ("rate-bits=-3", "rate-bits must be 0 or more"),
        ("nearest=1.5", "nearest=1.5 cannot be read"),
        ("nearest=-1", "nearest must be 0 or more, not -1"),
        ("silent=1,1", "silent names"),
    ],
)
def test_the_impossible_is_refused(text, complaint):
    with pytest.raises(SettingsError) as refused:
        Channel.parse(text)
    assert complaint in str(refused.value)


def test_slots_and_distances_must_be_those_of_the_world():
    relay = registry.make("relay", count=1, parameters={"agents": 3})
    World(relay, channel=Channel.parse("silent=2,distance=2,nearest=1"))
    for text in ("silent=3", "link=0>3:0.5"):
        with pytest.raises(SettingsError, match=r"there is no slot 3 in a team of 3\. Name slots 0\.\.2"):
            World(relay, channel=Channel.parse(text))
    for text in ("distance=2", "nearest=1"):
        with pytest.raises(SettingsError, match="'relay-signal' does not tell how far apart"):
            World(registry.make("relay-signal", count=1), channel=Channel.parse(text))
