"""The audit's logic without processes: scripts, conditions, and which change a message explains."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from relay_team import relay_plan

from analysis.audit import networks
from analysis.audit.answers import NEVER, Answers, difference
from analysis.audit.assessment import assess
from analysis.audit.condition import ISOLATION, LINK, REPEAT, TWO_HOPS, Condition, conditions, start_of
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED
from analysis.audit.finding import Findings
from analysis.audit.imports import forbidden_among, forbidden_packages
from analysis.audit.input_sequence import perturbed, record
from analysis.audit.networks import LOGIT_TOLERANCE, check_networks
from analysis.audit.one_process import OneProcess

PLAN = relay_plan(3, greedy=True, observation_noise=0.5, length=8)
RECORDED = record(PLAN, scripts=1, others=2, steps=8)
SEQUENCE = RECORDED.scripts[0]


def played(latent: np.ndarray, hears: np.ndarray) -> Answers:
    return Answers(episode=0, action=np.zeros(latent.shape[:2], dtype=np.int64), latent=latent, hears=hears)


def empty_findings() -> Findings:
    drawn = conditions(agents=3, messages=True, greedy=True, limit=6, random=np.random.default_rng(0))
    return Findings(title="", environment="", agents=3, greedy=True, run_seed=0, bundles=(), conditions=drawn)


@given(agent=st.integers(0, 2), start=st.integers(0, 7), seed=st.integers(0, 99))
def test_a_perturbation_changes_one_agents_observations_from_its_start_and_nothing_else(agent, start, seed):
    random = np.random.default_rng(seed)
    changed = perturbed(SEQUENCE, agent=agent, start=start, moments=RECORDED.moments, random=random)
    different = (changed.observation != SEQUENCE.observation).any(axis=2)
    expected = np.zeros_like(different)
    expected[start:, agent] = True
    assert np.array_equal(different, expected)
    assert all(changed.observation[step, agent] in RECORDED.moments[agent] for step in range(start, 8))
    for name in ("action_mask", "hears", "present"):
        assert np.array_equal(getattr(changed, name), getattr(SEQUENCE, name))


def test_an_agent_that_only_ever_saw_one_thing_cannot_be_perturbed():
    moments = [np.zeros((1, 18), dtype=np.float32)] * 3
    assert perturbed(SEQUENCE, agent=0, start=0, moments=moments, random=np.random.default_rng(0)) is None


def test_a_script_is_shown_whatever_the_agents_do_and_under_the_graph_that_is_asked_for():
    condition = Condition(check=TWO_HOPS, perturbed=2, path=(2, 0, 1))
    sequence = SEQUENCE.__class__(**{**vars(SEQUENCE), "hears": condition.hears(SEQUENCE)})
    found = OneProcess(PLAN, RECORDED.spec).replay(sequence, episode=0)
    assert found.action.shape == (8, 3)
    links = {tuple(pair) for pair in np.argwhere(found.hears[3])}
    assert links == {(0, 2), (1, 0)}, "(who hears, whom)"
    for step in condition.hears(SEQUENCE):
        assert np.argwhere(step).tolist() == [[0, 2], [1, 0]], "0 hears 2, 1 hears 0, nobody anybody else"
    silenced = Condition(check=ISOLATION, perturbed=1, silenced=1).hears(SEQUENCE)
    assert not silenced[:, :, 1].any()
    assert np.array_equal(silenced[:, :, [0, 2]], SEQUENCE.hears[:, :, [0, 2]])


@given(agents=st.integers(2, 7), limit=st.integers(1, 40), seed=st.integers(0, 9))
def test_pairs_and_triples_are_all_tried_or_drawn_without_repeats(agents, limit, seed):
    drawn = conditions(agents=agents, messages=True, greedy=True, limit=limit, random=np.random.default_rng(seed))
    pairs = [condition.path for condition in drawn.conditions if condition.check == LINK]
    triples = [condition.path for condition in drawn.conditions if condition.check == TWO_HOPS]
    assert (drawn.all_pairs, drawn.all_triples) == (agents * (agents - 1), agents * (agents - 1) * (agents - 2))
    assert (len(pairs), len(triples)) == (min(limit, drawn.all_pairs), min(limit, drawn.all_triples))
    assert len(set(pairs)) == len(pairs) == drawn.pairs
    assert set(triples) <= set(permutations(range(agents), 3))
    isolated = [condition.silenced for condition in drawn.conditions if condition.check == ISOLATION]
    assert isolated == list(range(agents))


@pytest.mark.parametrize(("check", "path", "latest"), [(LINK, (0, 1), 2), (TWO_HOPS, (0, 1, 2), 2)])
def test_perturbations_start_early_enough_to_arrive(check, path, latest):
    condition = Condition(check=check, perturbed=0, path=path)
    starts = {start_of(condition, SEQUENCE, np.random.default_rng(seed)) for seed in range(40)}
    assert starts == set(range(latest + 1))


def two_plays(changes: dict[tuple[int, int], int], links: set[tuple[int, int]]) -> tuple[Answers, Answers]:
    """Six steps of three agents; `changes` [(step, agent)] of the second play's latents, `links` (sender, receiver)."""
    hears = np.zeros((6, 3, 3), dtype=bool)
    for sender, receiver in links:
        hears[:, receiver, sender] = True
    latent = np.zeros((6, 3, 2), dtype=np.int32)
    other = latent.copy()
    for (step, agent), value in changes.items():
        other[step, agent] = value
    return played(latent, hears), played(other, hears)


@pytest.mark.parametrize(
    ("changes", "links", "leaks"),
    [
        ({(2, 0): 1}, set(), []),
        ({(2, 0): 1, (3, 1): 1}, {(0, 1)}, []),
        ({(2, 0): 1, (5, 1): 1}, {(0, 1)}, []),
        ({(2, 0): 1, (2, 1): 1}, {(0, 1)}, [(1, 2, 3)]),
        ({(2, 0): 1, (3, 1): 1}, set(), [(1, 3, None)]),
        ({(2, 0): 1, (3, 1): 1, (4, 2): 1}, {(0, 1), (1, 2)}, []),
        ({(2, 0): 1, (3, 1): 1, (3, 2): 1}, {(0, 1), (1, 2)}, [(2, 3, 4)]),
        ({(1, 0): 1}, set(), [(0, 1, 2)]),
    ],
    ids=["itself", "a step later", "any time later", "at once", "unheard", "two hops", "two hops at once", "too early"],
)
def test_only_what_a_message_explains_is_no_leak(changes, links, leaks):
    plain, changed = two_plays(changes, links)
    findings = empty_findings()
    path = (0, 1, 2) if (1, 2) in links else (0, 1)
    check = TWO_HOPS if len(path) == 3 else LINK
    condition = Condition(check=check, perturbed=0, path=path)
    assess(findings, condition, sequence=0, start=2, plain=plain, changed=changed)
    assert [(leak.observed, leak.step, leak.allowed) for leak in findings.leaks] == leaks
    found = findings.influences[check, path]
    last = [step for (step, agent) in changes if agent == path[-1]]
    assert found.delay == (min(last) - 2 if last else None)
    assert found.latents == len(last)


def test_a_repeat_that_differs_is_a_leak_of_nothing_known():
    plain, changed = two_plays({(4, 1): 3}, {(0, 1)})
    findings = empty_findings()
    assess(findings, Condition(check=REPEAT, perturbed=None), sequence=0, start=0, plain=plain, changed=changed)
    assert [check.verdict for check in findings.checks if check.name == REPEAT] == [REFUTED]
    assert "2 categoricals of its latent" in str(findings.leaks[0])


def test_the_shortest_delay_over_scripts_counts_and_a_link_that_changed_nothing_is_unused():
    findings = empty_findings()
    for step in (5, 3):
        plain, changed = two_plays({(2, 0): 1, (step, 1): 1}, {(0, 1)})
        assess(
            findings, Condition(check=LINK, perturbed=0, path=(0, 1)), sequence=0, start=2, plain=plain, changed=changed
        )
    plain, changed = two_plays({(2, 2): 1}, {(2, 1)})
    assess(findings, Condition(check=LINK, perturbed=2, path=(2, 1)), sequence=0, start=2, plain=plain, changed=changed)
    assert findings.matrix(LINK) == [[None, 1, None], [None, None, None], [None, None, None]]
    assert findings.unused == [(2, 1)]
    assert findings.influences[LINK, (0, 1)].scripts == 2


def test_actions_alone_differ_too():
    plain, changed = two_plays({}, set())
    changed.action[3, 2] = 1
    found = difference(plain, changed)
    assert found.first().tolist() == [NEVER, NEVER, 3]
    assert found.message.sum() == found.action.sum() == 1


def test_forbidden_modules_are_named_and_their_namesakes_are_not():
    packages = forbidden_packages("my_games.maze:make")
    assert {"torch", "trainer", "coordinator", "flatland", "jaxmarl", "my_games"} <= set(packages)
    modules = {"agent_node.coordinator_world", "heliograph.errors", "torchless", "trainers", "torch.nn", "my_games"}
    assert forbidden_among(modules, packages) == ["my_games", "torch.nn"]


class Networks:
    """A run folder's networks that decide as a team played, but for what a test changes."""

    def __init__(self, found: Answers, **changes: object) -> None:
        self.run_id, self.newest = PLAN.manifest.run_id, PLAN.manifest.training_step
        self.found = replace(found, **changes)

    def replay(self, **_: object) -> SimpleNamespace:
        return SimpleNamespace(action=self.found.action, latent=self.found.latent, logits=self.found.logits)


def test_networks_are_compared_over_every_decision_of_every_play(monkeypatch, tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    plays = [(SEQUENCE, OneProcess(PLAN, RECORDED.spec).replay(SEQUENCE, episode=episode)) for episode in (0, 0)]
    honest = plays[0][1]
    present = int(SEQUENCE.present.sum())
    categoricals = honest.latent.shape[2]

    def checked(**changes):
        monkeypatch.setattr(networks, "central_team", lambda folder, _permission: Networks(honest, **changes))
        return check_networks(tmp_path, PLAN, plays)

    found = checked()
    assert found.verdict == HOLDS
    assert found.said == (
        f"{2 * present} decisions, logits at most 0.0e+00 apart, 0 of {2 * present * categoricals} categoricals differ"
    )
    found = checked(logits=honest.logits + 2 * LOGIT_TOLERANCE)
    assert found.verdict == REFUTED
    assert "logits at most 2.0e-04 apart" in found.said
    latent = honest.latent.copy()
    latent[3, 1] = (latent[3, 1] + 1) % 8
    found = checked(latent=latent)
    assert found.verdict == REFUTED
    assert found.said.startswith(f"{2 * (present - 1)} decisions"), "who said something else may do something else"
    assert f"{2 * categoricals} of {2 * present * categoricals} categoricals differ" in found.said
    action = honest.action.copy()
    action[5, 2] = (action[5, 2] + 1) % 5
    assert "agent 2 takes action" in checked(action=action).said
    assert check_networks(tmp_path, PLAN, []).verdict == NOT_CHECKED
    assert check_networks(tmp_path / "elsewhere" / "below", PLAN, plays).verdict == NOT_CHECKED


def test_sockets_that_the_system_hides_are_not_checked_and_not_held_either(monkeypatch):
    psutil = pytest.importorskip("psutil")
    from analysis.audit import processes

    def hidden(*_, **__):
        raise psutil.AccessDenied

    monkeypatch.setattr(processes.sockets, "unexpected_sockets", hidden)
    nobody = SimpleNamespace(running=())
    server = SimpleNamespace(address="", team=SimpleNamespace(size=3, roster=SimpleNamespace(members=())))
    inspector = processes.Inspector(SimpleNamespace(supervisor=nobody, server=server), environment="relay")
    asyncio.run(inspector.look())
    found = {check.name: check for check in inspector.checks()}["sockets"]
    assert (found.verdict, found.said) == (NOT_CHECKED, "the system does not let us see the sockets of the processes")
