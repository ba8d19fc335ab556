"""The audit of a team: records, plays every condition on one team of processes, assesses, and sums up.

Greedy answers are a pure function of inputs and messages, so episodes of one team of processes can be compared with
one another.  Under the sampled policy they also depend on the episode's number, under which the noise is drawn and
which a node plays once; what the processes do with a perturbation is then compared with what the team in one process
does without it under the same number.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.audit.answers import Answers
from analysis.audit.assessment import assess
from analysis.audit.budget import AuditBudget
from analysis.audit.condition import ISOLATION, WORLD, Condition, conditions, start_of
from analysis.audit.evidence import NOT_CHECKED, Check
from analysis.audit.finding import Findings
from analysis.audit.input_sequence import InputSequence, Recorded, perturbed, record
from analysis.audit.networks import NAME, check_networks
from analysis.audit.one_process import OneProcess
from analysis.audit.processes import Inspector
from analysis.audit.replaying_nodes import NodeCommand, ReplayingNodes, standard_node
from coordinator.observers.progress import Progress
from coordinator.plan.plan import Plan
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.errors import SettingsError

LENDING_EPISODES = 6
"""Recorded besides the scripts, for the moments that perturbations are made of."""


def audit(
    plan: Plan,
    request: AuditBudget,
    *,
    node_command: NodeCommand = standard_node,
    networks: Path | None = None,
    permission: Permission = CATALOGUE_ONLY,
    log_folder: Path | None = None,
) -> Findings:
    """Audit the plan's team; after Ctrl-C the findings hold what was found and say so.

    `networks` is where the bundles lie, in a run folder whose networks are compared as well; `permission` is that to
    make the world which the run's settings name.  Raises NodeFailed if a
    node ends or does not come up, NetworkError if messages stay missing, and what the plan's world raises.
    """
    if len(plan.bundles) < 2:
        raise SettingsError("a team of one has nobody to depend on", remedy="Audit bundles of at least two agents")
    random = np.random.default_rng(plan.run_seed)
    findings = Findings(
        title=f"{len(plan.bundles)} processes, {plan.manifest.algorithm} in {plan.environment}",
        environment=plan.environment,
        agents=len(plan.bundles),
        greedy=plan.greedy,
        run_seed=plan.run_seed,
        bundles=tuple(bundle.digest for bundle in plan.bundles),
        conditions=conditions(
            agents=len(plan.bundles),
            messages=plan.manifest.message is not None,
            greedy=plan.greedy,
            limit=request.limit,
            random=random,
        ),
    )
    work = _Audit(plan, request, findings, random=random, networks=networks, permission=permission)
    try:
        work.record()
        with asyncio.Runner() as runner:
            runner.run(work.assess_processes(node_command, log_folder))
        work.compare_networks()
    except KeyboardInterrupt:
        findings.interrupted = True
    return findings


class _Audit:
    def __init__(
        self,
        plan: Plan,
        request: AuditBudget,
        findings: Findings,
        *,
        random: np.random.Generator,
        networks: Path | None,
        permission: Permission,
    ) -> None:
        self._plan, self._request, self._findings = plan, request, findings
        self._random = random
        self._networks, self._permission = networks, permission
        self._plain: dict[tuple[object, ...], Answers] = {}
        self._samples: list[tuple[InputSequence, Answers]] = []  # for the networks

    def record(self) -> None:
        scripts = self._request.scripts
        with Progress("recording", total=scripts + LENDING_EPISODES) as bar:
            self._recorded: Recorded = record(
                self._plan,
                scripts=scripts,
                others=LENDING_EPISODES,
                steps=self._request.steps,
                progress=bar.advance,
            )
        hears = np.concatenate([sequence.hears for sequence in self._recorded.scripts])
        self._findings.world_share = hears.mean(axis=0).T.round(3).tolist()

    async def assess_processes(self, command: NodeCommand, log_folder: Path | None) -> None:
        plan, findings = self._plan, self._findings
        asked = [
            (condition, number)
            for condition in findings.conditions.conditions
            for number in range(len(self._recorded.scripts))
        ]
        one_process = OneProcess(plan, self._recorded.spec)
        nodes = ReplayingNodes(plan, spec=self._recorded.spec, command=command, log_folder=log_folder)
        inspector = Inspector(nodes, environment=plan.environment)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(nodes)
            stack.callback(lambda: findings.others.extend([one_process.check(), *inspector.checks()]))
            bar = stack.enter_context(Progress("running", total=len(asked)))
            await inspector.look()
            for condition, number in asked:
                await self._ask(condition, number, nodes, one_process)
                await inspector.look()
                bar.advance()
            await inspector.look(last=True)

    async def _ask(self, condition: Condition, number: int, nodes: ReplayingNodes, one_process: OneProcess) -> None:
        sequence = self._recorded.scripts[number]
        sequence = replace(sequence, hears=condition.hears(sequence))
        start, changed = 0, sequence
        if condition.perturbed is not None:
            start = start_of(condition, sequence, self._random)
            found = perturbed(
                sequence, agent=condition.perturbed, start=start, moments=self._recorded.moments, random=self._random
            )
            if found is None:
                self._findings.untested.append(
                    f"{condition.check} {condition.path or condition.perturbed} in script {number}: "
                    f"agent {condition.perturbed} is not there at step {start}, or only ever saw one thing"
                )
                return
            changed = found
        plain = await self._plain_answers(condition, number, sequence, nodes, one_process)
        answered = await nodes.replay(changed)
        alone = one_process.compare(changed, answered)
        if condition.check == (WORLD if self._findings.conditions.pairs else ISOLATION):
            self._samples.append((changed, alone))
        if plain is None:
            plain = one_process.replay(sequence, episode=answered.episode)
        assess(self._findings, condition, sequence=number, start=start, plain=plain, changed=answered)

    async def _plain_answers(
        self, condition: Condition, number: int, sequence: InputSequence, nodes: ReplayingNodes, one_process: OneProcess
    ) -> Answers | None:
        """The processes' play without a perturbation, once for each graph; None where noise makes it incomparable."""
        if not self._plan.greedy:
            return None
        key = (number, *condition.graph)
        if key not in self._plain:
            self._plain[key] = answered = await nodes.replay(sequence)
            one_process.compare(sequence, answered)
        return self._plain[key]

    def compare_networks(self) -> None:
        if self._networks is None:
            check = Check(name=NAME, verdict=NOT_CHECKED, said="not requested: needs --central and a run folder")
        else:
            check = check_networks(self._networks, self._plan, self._samples, self._permission)
        self._findings.others.insert(1, check)
