"""The training loop: collect, update, evaluate, checkpoint, and stop for a good reason.

The loop owns time and files; what is learned is the algorithm's.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from heliograph.environments.episodes import EpisodeResults
from heliograph.environments.permission import CATALOGUE_ONLY, Permission
from heliograph.errors import INTERRUPTED_EXIT_CODE, NonFiniteLoss, TargetNotReached
from heliograph.run_status import RunState
from heliograph.stopping import Stopped
from trainer.algorithms.held_out import PredictingAlgorithm, measure_held_out
from trainer.algorithms.interfaces import ClosingAlgorithm, MessagingAlgorithm, PausingAlgorithm
from trainer.experience.collector import Collected, Collector
from trainer.experience.overlap import Feed
from trainer.export.bundles import export_team
from trainer.export.tables import learned_tables
from trainer.ranks.group import ranks
from trainer.ranks.shared_stop import SharedStop
from trainer.ranks.stopping_together import done_on_all
from trainer.ranks.streams import drawn_seed, stream_of
from trainer.training.calibration import calibration_metrics
from trainer.training.carrying_on import check_begun_from
from trainer.training.checkpoint import (
    from_newest,
    load_checkpoint,
    save_checkpoint,
    saved_checkpoints,
    set_aside_after,
    under,
)
from trainer.training.clock import Clock
from trainer.training.device import choose_device
from trainer.training.empty_replay import empty_replay
from trainer.training.evaluations import Evaluations, evaluations_of
from trainer.training.horizon import horizon_of
from trainer.training.initial_weights import load_initial_weights
from trainer.training.large_numbers import explained
from trainer.training.limits import Limit, limit_of
from trainer.training.making import make_algorithm, make_environment
from trainer.training.run_folder import RunFolder
from trainer.training.run_writer import RunWriter, iteration_record
from trainer.training.shares import share_of
from trainer.training.summary import Summary, count_weights, write_summary

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Who is told how far a run is."""

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        """After every iteration: its metrics, and the share of the run that is done."""
        ...


class Training:
    """One run, fresh or resumed.

    Whoever wants it to end asks `stopping`, from a signal handler if need be.  It then leaves what it is at, between
    two steps of the environments, or in an update of a `PausingAlgorithm`; the rest is done when the run is resumed.
    A fresh one begins with the networks of `init_from`, as `load_initial_weights` takes it; None: with random ones.
    So does one that is resumed before its first checkpoint, with those that its folder names.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        *,
        resume: bool,
        permission: Permission = CATALOGUE_ONLY,
        init_from: Path | None = None,
    ) -> None:
        self.ranks = ranks()
        settings = share_of(folder.settings(), self.ranks.count)
        self.settings, self.folder, self.progress = settings, folder, progress
        self.ranks.begin_run()
        self.stopping = SharedStop(self.ranks)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.device = choose_device(settings.device)
        self.environment = make_environment(settings, permission, count=settings.environment.copies)
        self.algorithm = make_algorithm(settings, self.environment, self.device)
        rank, count = self.ranks.rank, self.ranks.count
        if rank:
            torch.manual_seed(drawn_seed(settings.seed, 0xAD, rank=rank))  # the networks are those of all ranks
        self.replay = empty_replay(settings, self.algorithm)
        self.collector = Collector(
            self.environment,
            self.algorithm.behaviour(),
            self.replay,
            seed=settings.seed,
            device=self.device,
            rank=rank,
            ranks=count,
            curriculum=settings.environment.curriculum,
            most_steps=settings.environment.most_steps,
        )
        schedule = settings.schedule
        self.horizon = horizon_of(schedule, folder.status() if resume else None)
        self._writer = RunWriter(folder, self.horizon, writes=self.ranks.lead)
        self.feed = Feed(
            self.collector,
            self.algorithm.behaviour(),
            steps_per_copy=schedule.steps_per_iteration,
            until=-(-self.horizon.limit_env_steps // count),
            overlap=settings.overlaps(self.device.type),
            check=self.stopping.check,
        )
        self.env_steps = 0
        """Of all iterations that have begun, of all ranks; with overlap the collector is ahead of it."""
        self._random = np.random.default_rng(stream_of(settings.seed, 0xC0, rank=rank))  # which windows are drawn
        # The first rank evaluates what all have learned; the others need no world for it.
        self._evaluations: Evaluations | None = None
        if self.ranks.lead:
            self._evaluations = evaluations_of(settings, permission, device=self.device, check=self.stopping.check)
        self._iteration = 0
        self._lost_episodes = 0  # of all ranks, once the run has ended
        self._clock = Clock()
        self._reached = 0  # evaluations in a row that reached schedule.stop_at_outcome
        self._learning: Collected | None = None  # what an iteration learns from that was left while it did
        self._unlogged: dict[str, Any] | None = None  # of an iteration whose evaluation is still to come
        if resume and saved_checkpoints(self.folder.checkpoints):
            self._restore()
            return
        if resume:
            check_begun_from(folder.path, init_from)
            self._begin_again()
        if init_from is not None:
            load_initial_weights(init_from, self.algorithm)
            self.save()  # so that a run that is killed before its next checkpoint does not begin without them

    def stop(self) -> None:
        """End as soon as it can be done in order, with a checkpoint."""
        self.stopping.ask()

    def run(self) -> Summary:
        """Train until the schedule is done; the last acts are a checkpoint, an export, a final evaluation, the summary.

        What is in the folder then says how it ended: `summary.json` and `status.json`, in this order.
        """
        settings = self.settings
        self._writer.status(RunState.RUNNING, env_steps=self.env_steps)
        self._clock.begin()
        self._clock.share()
        saved = time.monotonic()
        while (reason := self._reason_to_end()) is None:
            try:
                if self._unlogged is None:
                    self._unlogged = self._learn()
                record = self._unlogged | self._assess()
            except Stopped:
                continue
            finally:
                self._clock.tick()
            self._unlogged = None
            self._clock.share()
            self._count_reached(record)
            record |= self._clock.record
            self._writer.log(record)
            share = self.horizon.share(env_steps=self.env_steps, seconds=self._clock.seconds)
            self.progress.iteration(record, share=share)
            if self.ranks.of_lead(time.monotonic() - saved > 60 * settings.checkpoint_minutes):
                self.save()
                saved = time.monotonic()
        self.feed.settle()
        self.save()
        self._lost_episodes = int(self.ranks.total(self.collector.lost_episodes))
        return self._interrupted() if reason == "interrupted" else self._finished(reason)

    def _learn(self) -> dict[str, Any]:
        """Collect and learn; what is to be logged of it.  Raises Stopped, and goes on where it was when repeated."""
        started = self._clock.now()
        experience = self._collect()
        self.env_steps, collected = experience.env_steps * self.ranks.count, self._clock.now()
        try:
            metrics = self._update() if self.ranks.all(self.replay.ready) else {}
        except NonFiniteLoss as error:
            raise explained(error, self.replay) from error
        self._iteration, self._learning = self._iteration + 1, None
        now = self._clock.now()
        record = iteration_record(experience, iteration=self._iteration, env_steps=self.env_steps)
        # The first is how long the loop waited for the experience, which is less if it was collected ahead.
        record |= metrics | {"time/collect_s": collected - started, "time/update_s": now - collected}
        # Here, not beside the evaluation: what is collected ahead is in replay once a run was stopped there.
        return record | self._calibrate() if self.ranks.lead and self._is_evaluated() else record

    def _collect(self) -> Collected:
        """What the iteration learns from.  Raises Stopped on all ranks if one of them was stopped while it collected;
        those that were not keep theirs."""
        if self._learning is None:
            with suppress(Stopped):
                self._learning = self.feed.next()
        if self.ranks.any(self._learning is None):
            raise Stopped
        assert self._learning is not None
        return self._learning

    def _update(self) -> dict[str, float]:
        """Let the algorithm learn, once its model has predicted what it has not learned from yet.

        Raises Stopped where the algorithm can go on with it later; then nothing is left to predict.
        """
        algorithm, found = self.algorithm, dict[str, float]()
        if isinstance(algorithm, PredictingAlgorithm):
            found = measure_held_out(algorithm, self.replay, self.device)
        # With overlap a checkpoint has what is collected ahead in replay, which the rest would then be drawn from.
        if isinstance(algorithm, PausingAlgorithm) and not self.settings.overlaps(self.device.type):
            return found | algorithm.update_in_parts(self.replay, self._random, check=self.stopping.check)
        return found | algorithm.update(self.replay, self._random)

    def _assess(self) -> dict[str, float]:
        """Evaluate, and keep the networks, if this iteration is one for it.  Raises Stopped, on all ranks if on one,
        and may be repeated."""
        if not self.ranks.of_lead(self._is_evaluated()):
            return {}
        return done_on_all(lambda: self._evaluate() if self.ranks.lead else {})

    def _evaluate(self) -> dict[str, float]:
        settings = self.settings.evaluation
        assert self._evaluations
        record = self._evaluations.on_the_way(self.algorithm.policy())
        self._writer.snapshot(
            self.algorithm,
            settings,
            env_steps=self.env_steps,
            evaluation=self._iteration // settings.every,
            score=record[settings.judged_by],
        )
        self._writer.status(RunState.RUNNING, env_steps=self.env_steps)
        if settings.export:
            self.feed.settle()  # what traces a network should not run beside another that is used
            self.export()
        return record

    def _is_evaluated(self) -> bool:
        return self.replay.ready and self._iteration % self.settings.evaluation.every == 0

    def _calibrate(self) -> dict[str, float]:
        seed = (self.settings.seed, 0xD3, self._iteration)
        return calibration_metrics(self.algorithm, self.replay, seed=seed, device=self.device)

    def close(self) -> None:
        """Wait for what is being collected, and free what the environments hold."""
        self._clock.end()
        self.feed.close()
        self.environment.close()
        if isinstance(self.algorithm, ClosingAlgorithm):
            self.algorithm.close()
        if self._evaluations:
            self._evaluations.environment.close()

    def save(self) -> None:
        """Write a checkpoint, of all ranks.  Raises CheckpointError, and what collecting ahead has raised."""
        self.feed.settle()
        if self.stopping.wanted:
            self.stopping.obey()
        collector = self.collector.state()
        arrays = {f"replay.{name}": array for name, array in self.replay.state().items()}
        arrays |= {f"collector.{name}": array for name, array in collector.pop("arrays").items()}
        state = {
            "collector": collector,
            "ahead": None if self.feed.ahead is None else asdict(self.feed.ahead),
            "env_steps": self.env_steps,
            "random": self._random.bit_generator.state,
            **self._clock.state,
            "reached": self._reached,
            "target": self.settings.schedule.stop_at_outcome,
            "unlogged": self._unlogged,
            "learning": None if self._learning is None else asdict(self._learning),
        }
        save_checkpoint(
            self.folder.checkpoints, iteration=self._iteration, algorithm=self.algorithm, arrays=arrays, state=state
        )

    def export(self) -> None:
        """Write one bundle per slot to the run's `bundles/`."""
        export_team(
            self.algorithm,
            self.environment.spec,
            self.folder.bundles,
            run_id=self.folder.run_id,
            training_step=self.env_steps,
            tables=learned_tables(self.algorithm, self.replay),
            check=self.stopping.check,
        )

    def _begin_again(self) -> None:
        logger.warning("no checkpoint yet, starting from the beginning folder=%s", self.folder.path)
        self._writer.forget_after(0, env_steps=0)

    def _restore(self) -> None:
        def read(path: Path) -> Path:
            load_checkpoint(path, self.algorithm, self._take_over)
            return path

        path = from_newest(self.folder.checkpoints, read)
        if self.ranks.lead:
            set_aside_after(path)
        self.collector.rerun_episodes()  # not before: what goes wrong with an environment is nothing of a checkpoint's
        self._writer.forget_after(self._iteration - (self._unlogged is not None), env_steps=self.env_steps)

    def _take_over(self, state: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        self.replay.restore(under(arrays, "replay."))
        self.collector.restore(state["collector"] | {"arrays": under(arrays, "collector.")})
        self.feed.restore(None if state["ahead"] is None else Collected(**state["ahead"]))
        self.env_steps = state["env_steps"]
        self._random.bit_generator.state = state["random"]
        self._iteration, self._reached = state["iteration"], int(state["reached"])
        self._clock.restore(state)
        self._unlogged = state.get("unlogged")
        self._learning = Collected(**state["learning"]) if state.get("learning") else None
        if state.get("target", self.settings.schedule.stop_at_outcome) != self.settings.schedule.stop_at_outcome:
            self._reached = 0  # what was reached was another target

    def _reason_to_end(self) -> str | None:
        if self.ranks.any(self.stopping.wanted):
            self.stopping.ask()
        reason: str | None = self.ranks.of_lead(self._own_reason_to_end())
        return reason

    def _own_reason_to_end(self) -> str | None:
        schedule, horizon = self.settings.schedule, self.horizon
        if self.stopping.wanted:
            return "interrupted"
        if self._unlogged is not None or self._learning is not None:
            return None
        if schedule.stop_at_outcome is not None and self._reached >= 2:
            return "outcome"
        if self._clock.is_over(schedule, limit_seconds=horizon.limit_seconds):
            return "time"
        return "steps" if self.env_steps >= horizon.limit_env_steps else None

    def _count_reached(self, record: dict[str, Any]) -> None:
        """Take in whether an evaluation came to the outcome at which the run may end."""
        outcome, target = record.get("evaluate/greedy_outcome"), self.settings.schedule.stop_at_outcome
        if outcome is not None:
            self._reached = self._reached + 1 if target is not None and outcome >= target else 0

    def _interrupted(self) -> Summary:
        self._writer.status(RunState.INTERRUPTED, env_steps=self.env_steps, exit_code=INTERRUPTED_EXIT_CODE)
        return self._summary("interrupted", None, None)

    def _finished(self, reason: str) -> Summary:
        if not self._evaluations:
            return self._summary(reason, None, None)
        try:
            self.export()
            talks = isinstance(self.algorithm, MessagingAlgorithm) and self.algorithm.message is not None
            policy, final = self.algorithm.policy(), self._evaluations.final
            cut = final(policy, links_cut=True) if talks else None
            summary = self._summary(reason, final(policy), cut)
        except Stopped:
            return self._interrupted()
        write_summary(self.folder, summary)
        if summary.missed:
            detail = f"{summary.outcome_name} {summary.outcome:.3f}, asked for {summary.target:g}"
            state, code = RunState.UNREACHED, TargetNotReached.exit_code
        else:
            detail, state, code = "", RunState.FINISHED, 0
        self._writer.status(state, env_steps=self.env_steps, detail=detail, exit_code=code)
        return summary

    def _summary(self, reason: str, evaluation: EpisodeResults | None, links_cut: EpisodeResults | None) -> Summary:
        spec, schedule = self.environment.spec, self.settings.schedule
        return Summary(
            reason=reason,
            env_steps=self.env_steps,
            iterations=self._iteration,
            seconds=self._clock.seconds,
            outcome_name=spec.outcome,
            blind_bound=spec.blind_bound,
            blind_bound_measured=spec.blind_bound_measured,
            target=schedule.stop_at_outcome,
            must_reach=schedule.must_reach,
            evaluation=evaluation,
            links_cut=links_cut,
            lost_episodes=self._lost_episodes,
            parameters=count_weights(self.algorithm.modules().values()),
            limit=self._limit() if self.ranks.lead and isinstance(self.algorithm, PredictingAlgorithm) else None,
        )

    def _limit(self) -> Limit:
        spec = self.environment.spec
        most_entropy = None if spec.rows.size else math.log(spec.actions)
        return limit_of(self.folder.history(), outcome=spec.outcome, most_entropy=most_entropy)
