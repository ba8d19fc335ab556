"""The simulated channel does what its settings say, in any order, and the same every time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.channel import Channel
from coordinator.channel.losses import GilbertElliott
from coordinator.channel.medium import Medium
from coordinator.channel.reach import within_reach
from coordinator.world.world import World
from heliograph.codecs.bit_packed import BitPacked
from heliograph.environments import registry

AGENTS, STEPS, SEEDS = 8, 150, range(4)
EVERYBODY = ~np.eye(AGENTS, dtype=bool)


def judged(text: str, seed: int, *, steps=range(STEPS), sent=EVERYBODY, distances=None, **sizes) -> list:
    medium = Medium(Channel.parse(text), seed=seed, agents=AGENTS, **sizes)
    return [medium.judge(step, sent=sent, distances=distances) for step in steps]


def lost(text: str, **arguments) -> np.ndarray:
    """bool [seeds, T, N, N]."""
    return np.array([[verdict.lost for verdict in judged(text, seed, **arguments)] for seed in SEEDS])


def assert_share(events: np.ndarray, probability: float, *, per: float = 1.0) -> None:
    """Within five standard errors; `per` events count as one that is independent of the others."""
    error = math.sqrt(probability * (1 - probability) * per / events.size)
    assert abs(events.mean() - probability) <= 5 * error


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_erasures_have_the_stated_rate_on_every_link(probability):
    found = lost(f"erasure={probability}")
    assert_share(found[..., EVERYBODY], probability)
    for receiver, sender in np.argwhere(EVERYBODY):
        assert_share(found[:, :, receiver, sender], probability)
    assert not found[..., ~EVERYBODY].any(), "nothing is sent to oneself"


def test_a_named_link_has_its_own_rate_in_one_direction():
    found = lost("erasure=0.2,link=3>5:0.8,0>1:0")
    assert_share(found[:, :, 5, 3], 0.8)
    assert_share(found[:, :, 3, 5], 0.2)
    assert not found[:, :, 1, 0].any()


@pytest.mark.parametrize(("loss", "mean_steps"), [(0.3, 5), (0.1, 2), (0.5, 1), (0.7, 20)])
def test_bursts_have_the_stated_rate_from_the_first_step_on_and_the_stated_mean_length(loss, mean_steps):
    found = lost(f"burst={loss}:{mean_steps}", steps=range(600))[..., EVERYBODY]
    assert_share(found[:, 0], loss)
    assert_share(found, loss, per=2 * mean_steps)
    ends, lasts = found[:, 1:] & ~found[:, :-1], found[:, :-1]
    starts_again = (~found[:, 1:] & lasts).sum() / lasts.sum()  # how often a bad link becomes good
    assert starts_again == pytest.approx(1 / mean_steps, rel=0.05)
    assert ends.sum() / (~lasts).sum() == pytest.approx(loss / (1 - loss) / mean_steps, rel=0.05)


@pytest.mark.parametrize(("distance", "share"), [(0.0, 0.0), (3.0, 1 - 0.5**0.25), (6.0, 0.5), (12.0, 1 - 0.5**4)])
def test_loss_grows_with_distance_and_is_one_half_at_the_stated_one(distance, share):
    far = np.full((AGENTS, AGENTS), distance, dtype=np.float32)
    assert_share(lost("distance=6", distances=far)[..., EVERYBODY], share)
    assert_share(lost("distance=6:1", distances=far)[..., EVERYBODY], 1 - 0.5 ** (distance / 6))


def test_messages_are_as_late_as_the_deadlines_that_they_take():
    for delay, late in ((0, 0), (100, 0), (101, 1), (200, 1), (201, 2), (1000, 9)):
        (verdict,) = judged(f"delay-ms={delay}", 0, steps=[3])
        assert (verdict.late_by[EVERYBODY] == late).all()
        assert not verdict.late_by[~EVERYBODY].any()
    verdicts = [v for seed in SEEDS for v in judged("delay-ms=60,jitter-ms=60,deadline-ms=40", seed)]
    late_by = np.array([verdict.late_by[EVERYBODY] for verdict in verdicts])
    for steps in range(3):  # uniform from 0 to 120 ms: a third each
        assert_share(late_by == steps, 1 / 3)
    assert late_by.max() == 2


def test_what_is_lost_is_not_also_late():
    for verdict in judged("erasure=0.5,delay-ms=150", 1):
        assert np.array_equal(verdict.late_by > 0, EVERYBODY & ~verdict.lost)


@pytest.mark.parametrize(
    ("rate", "carried"), [(0, 0), (40, 1 / 4), (80, 1 / 2), (120, 3 / 4), (159, 159 / 160), (160, 1), (1000, 1)]
)
def test_a_limited_rate_carries_that_many_bits_per_step(rate, carried):
    verdicts = judged(f"rate-bits={rate}", 0, longest_bits=160)
    found = np.array([~verdict.lost[EVERYBODY] for verdict in verdicts])
    assert found.mean() == pytest.approx(carried, abs=1 / STEPS)
    assert found[0].all() == (rate > 0), "the first message gets through"


def test_a_link_that_was_not_used_has_not_saved_for_long():
    medium = Medium(Channel.parse("rate-bits=80"), seed=0, agents=AGENTS, longest_bits=160)
    nothing = np.zeros_like(EVERYBODY)
    for step, (sent, expected) in enumerate([*[(nothing, 0)] * 9, *[(EVERYBODY, lost) for lost in (0, 0, 1, 0, 1)]]):
        assert medium.judge(step, sent=sent, distances=None).lost[EVERYBODY].all() == bool(expected), step


def test_shorter_latents_get_through_more_often_and_untold_ones_count_as_the_longest():
    codec = BitPacked(categoricals=4, classes=8)
    shares = []
    for told in (None, {slot: np.zeros(4, dtype=np.int32) for slot in range(AGENTS)}):
        medium = Medium(Channel.parse("rate-bits=6"), seed=0, agents=AGENTS, codec=codec, longest_bits=24)
        verdicts = []
        for step in range(STEPS):
            medium.sizes.note(told or {})
            verdicts.append(medium.judge(step, sent=EVERYBODY, distances=None).lost[EVERYBODY])
        shares.append(1 - np.mean(verdicts))
    assert shares == pytest.approx([6 / 24, 6 / 12], abs=1 / STEPS)


TEXTS = ["erasure=0.4", "burst=0.3:4", "distance=2", "delay-ms=90,jitter-ms=50", "link=1>2:0.5,erasure=0.1,burst=0.2:2"]


@given(text=st.sampled_from(TEXTS), seed=st.integers(0, 2**63 - 1), data=st.data())
def test_verdicts_do_not_depend_on_order_on_what_else_is_sent_or_on_other_faults(text, seed, data):
    distances = np.arange(AGENTS * AGENTS, dtype=np.float32).reshape(AGENTS, AGENTS) / 9
    straight = judged(text, seed, steps=range(6), distances=distances)
    steps = data.draw(st.permutations(range(6)))
    shuffled = judged(text, seed, steps=steps, distances=distances)
    for step, verdict in zip(steps, shuffled, strict=True):
        assert np.array_equal(verdict.lost, straight[step].lost)
        assert np.array_equal(verdict.late_by, straight[step].late_by)
    some = EVERYBODY & (np.arange(AGENTS) % 2 == 0)
    for step, verdict in enumerate(judged(text, seed, steps=range(6), sent=some, distances=distances)):
        assert np.array_equal(verdict.lost, straight[step].lost & some)
    both = judged(text + ",rate-bits=99", seed, steps=range(6), distances=distances, longest_bits=9)
    assert all(np.array_equal(verdict.lost, straight[step].lost) for step, verdict in enumerate(both))


def test_seeds_differ_and_a_higher_probability_loses_what_a_lower_one_did():
    low, high = lost("erasure=0.3"), lost("erasure=0.6")
    assert not (low & ~high).any()
    assert_share(low[0][:, EVERYBODY] & low[1][:, EVERYBODY], 0.09)
    assert_share(low[0][:, EVERYBODY] & lost("burst=0.3:1")[0][:, EVERYBODY], 0.09)


def test_bursts_are_the_same_when_an_episode_is_judged_again():
    chain = GilbertElliott(Channel.parse("burst=0.4:3").burst, seed=5, agents=AGENTS)
    there = [chain.lost(step).copy() for step in range(20)]
    back = [chain.lost(step).copy() for step in reversed(range(20))]
    assert np.array_equal(there, back[::-1])


def test_only_the_nearest_are_heard_and_the_silent_take_nobodys_place():
    hears = np.array([[0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    distances = np.array([[0, 5, 2, 2], [5, 0, 1, 3], [2, 1, 0, 9], [2, 3, 9, 0]], dtype=np.float32)

    def who(text: str) -> list[list[int]]:
        return [np.flatnonzero(row).tolist() for row in within_reach(Channel.parse(text), hears, distances)]

    assert who("nearest=1") == [[2], [2], [3], []]
    assert who("nearest=2") == [[2, 3], [2, 3], [3], []]
    assert who("nearest=9") == who("erasure=0") == [[1, 2, 3], [0, 2, 3], [3], []]
    assert who("nearest=0") == [[], [], [], []]
    assert who("silent=2,3") == [[1], [0], [], []]
    assert who("silent=2,nearest=1") == [[3], [3], [3], []]


def test_the_world_tells_each_receiver_what_the_channel_did_to_what_was_sent_to_it():
    relay = registry.make("relay", count=1, parameters={"agents": 4, "size": 5, "hears": "range", "length": 12})
    plain, faulty = World(relay), World(relay, channel=Channel.parse("erasure=0.4,delay-ms=120,jitter-ms=100"))
    random = np.random.default_rng(0)
    told = 0
    for seed in range(5):
        plain.reset(seed)
        script = []
        for _ in range(12):
            script.append([int(random.choice(np.flatnonzero(view.action_mask))) for view in plain.views])
            plain.advance(script[-1])
        before = faulty.reset(seed)
        assert not any(view.lost or view.late for view in before), "nothing was sent before the first step"
        for actions in script:
            views = faulty.advance(actions).views
            for old, view in zip(before, views, strict=True):
                assert set(view.lost) | set(view.late) <= set(old.receives_from) | set(view.receives_from)
                assert not set(view.lost) & set(view.late)
                told += len(view.lost) + len(view.late)
            before = views
    assert told > 100
