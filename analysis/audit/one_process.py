"""The same scripts by the team in one process: what the processes' answers must equal, bit for bit."""

from __future__ import annotations

import numpy as np

from analysis.audit.answers import NEVER, Answers, difference
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED, Check
from analysis.audit.input_sequence import InputSequence, ReplayedInputs
from coordinator.plan.plan import Plan
from coordinator.running.in_process import LocalTeam
from coordinator.world.trajectory import StepRecord
from coordinator.world.world import World
from heliograph.environments.vector import EnvironmentSpec


class OneProcess:
    """Plays scripts, and keeps count of how often the processes agreed."""

    def __init__(self, plan: Plan, spec: EnvironmentSpec) -> None:
        self._team = LocalTeam(plan.bundles, run_seed=plan.run_seed, greedy=plan.greedy)
        self._spec = spec
        self._decisions = 0
        self._replays = 0
        self._first = ""

    def replay(self, sequence: InputSequence, *, episode: int) -> Answers:
        """What the team does with a script under this number, with its logits."""
        records: list[StepRecord] = []
        rows = self._spec.rows
        logits = np.zeros((sequence.steps, self._spec.agents, rows.policy_size), dtype=np.float32)

        def observe(record: StepRecord) -> None:
            records.append(record)
            for slot, values in self._team.logits.items():
                logits[record.step, slot] = rows.policy_row(slot, values)

        world = World(ReplayedInputs(sequence, self._spec))
        self._team.run_episode(world, episode=episode, observe=observe, report_latents=True)
        return Answers.of(records, logits=logits)

    def compare(self, sequence: InputSequence, processes: Answers) -> Answers:
        """Play what the processes have played and book whether the answers are equal; returns them."""
        alone = self.replay(sequence, episode=processes.episode)
        found = difference(alone, processes)
        self._replays += 1
        self._decisions += int(sequence.present.sum())
        if not self._first and found.message.any():
            first = found.first()
            slot = int(first.argmin())
            assert first[slot] < NEVER
            self._first = (
                f"agent {slot} answers differently as a process at step {first[slot]} of script run {alone.episode}"
            )
        return alone

    def check(self) -> Check:
        """The verdict so far."""
        name = "one process"
        if self._first:
            return Check(name=name, verdict=REFUTED, said=self._first)
        if not self._replays:
            return Check(name=name, verdict=NOT_CHECKED, said="interrupted before")
        said = f"{self._decisions} decisions in {self._replays} script runs of the processes are equal bit for bit"
        return Check(name=name, verdict=HOLDS, said=said)
