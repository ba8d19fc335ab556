"""What a person sees of a training run: a progress bar on a terminal, plain lines elsewhere, TensorBoard and a plot.

None of it may cost the run anything: what goes wrong with it is told as a warning.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from heliograph.display import console, score
from heliograph.figures import SHARES
from heliograph.optional import optional
from heliograph.run_status import RunState
from trainer.training.event_log import EventLog
from trainer.training.experiment import Experiment
from trainer.training.horizon import Horizon, Pace, in_words
from trainer.training.run_folder import RunFolder

LINE_INTERVAL_S = 10.0


class TrainingConsole:
    """A `Progress` of `trainer.training.training`; a context manager."""

    def __init__(self, folder: RunFolder, *, wandb: str | None = None) -> None:
        """`wandb` is the project of Weights & Biases to log to as well.  Raises MissingExtra if that is not there."""
        self._folder = folder
        self._experiment = None if wandb is None else Experiment(folder, project=wandb)
        self._measure = "outcome"
        self._horizon: Horizon | None = None
        self._pace = Pace()
        self._bar: Any = None
        self._events: EventLog | None = None
        self._closing = ExitStack()
        self._printed_at_s = time.monotonic()
        self._printed_pace = False
        self._outcome = ""

    def __enter__(self) -> TrainingConsole:
        if sys.stderr.isatty():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TaskProgressColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("{task.fields[left]}"),
                console=console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("training", total=1.0, left="")
            self._bar.start()
        return self

    def begin(self, horizon: Horizon, *, measure: str) -> None:
        """Say where the run ends, and open its logs; `measure` is what its world's outcome is, as won or return."""
        # Not before: a run whose world cannot be made leaves no file.
        self._events = self._closing.enter_context(EventLog(self._folder.path))
        if self._experiment is not None:
            self._experiment.begin()
        self._horizon, self._measure = horizon, measure
        schedule = self._folder.settings().schedule
        target = schedule.stop_at_outcome
        # No share reaches a target above 1, by which presets say that a run goes on to its last step.
        never = target is None or (measure in SHARES and target > 1)
        ends = [] if never else [f"until {measure} is {target:g}"]
        if horizon.usual_env_steps is not None:
            ends.append(f"usually after {horizon.usual_env_steps:,} environment steps")
        at_most = f"at most {horizon.limit_env_steps:,}{'' if horizon.usual_env_steps else ' environment steps'}"
        if horizon.limit_seconds is not None:
            at_most += f" or {in_words(horizon.limit_seconds)}"
        self.note(f"training {', '.join([*ends, at_most])}; how long that takes here is told once it is measured")

    def note(self, text: str) -> None:
        """Say something that is not progress."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self, text: str) -> None:
        """Print the result of the run, in place of its progress."""
        if self._bar is not None:
            self._bar.stop()
        print(text, flush=True)

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        if self._events is not None:
            self._events.write(record)
        if self._experiment is not None:
            self._experiment.log(record)
        now = time.monotonic()
        if any(name.startswith(("model/", "policy/")) for name in record):
            self._pace.note(record["seconds"], record["env_steps"])
        if "evaluate/greedy_outcome" in record:
            self._outcome = f"  outcome {score(record['evaluate/greedy_outcome'])}"
        line = f"step {record['env_steps']:>7}{self._outcome}"
        if "model/reconstruction" in record:
            line += f"  reconstruction {record['model/reconstruction']:.3f}  reward {record['model/reward']:.4f}"
        if "held_out/reward_r2" in record:
            line += f"  held-out R² {record['held_out/reward_r2']:.2f}"
        if "collect/lost_episodes" in record:
            line += f"  lost episodes {record['collect/lost_episodes']}"
        usual, left = self._left(record)
        done = share if usual is None else record["env_steps"] / usual
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=line, left=left)
            return
        # At once when it is first known, and then at intervals.
        first = bool(left) and not self._printed_pace
        if first or now - self._printed_at_s >= LINE_INTERVAL_S:
            self._printed_at_s, self._printed_pace = now, bool(left)
            print(f"{line}  ({done:.0%}{f', {left}' if left else ''})", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._closing.close()
        if self._experiment is not None:
            self._experiment.finish()
        with optional("no learning curve"):
            # Whoever stops a container or a service waits for seconds, and pictures take as many on a busy machine.
            if self._bar is None and self._folder.status().state is RunState.INTERRUPTED:
                return
            from trainer.training.curve import draw_curve

            draw_curve(self._folder, measure=self._measure)
        with optional("no plot of the calibration"):
            from trainer.training.calibration_plot import draw_calibration

            draw_calibration(self._folder)

    def _left(self, record: dict[str, Any]) -> tuple[int | None, str]:
        """The step at which runs like this one are usually done, if it is ahead, and how long it still takes."""
        horizon, steps = self._horizon, record["env_steps"]
        if horizon is None:
            return None, ""
        usual = horizon.usual_env_steps
        if usual is not None and steps >= usual:
            usual = None
        speed = self._pace.steps_per_s
        if not speed:
            return usual, ""
        most = f"at most {in_words(horizon.left_s(env_steps=steps, seconds=record['seconds'], steps_per_s=speed))}"
        usually = horizon.usually_left_s(env_steps=steps, steps_per_s=speed)
        # A pace of now is no promise: a run that waits for its model before it learns a policy is slower then.
        return usual, f"{most if usually is None else f'usually {in_words(usually)}, {most}'} left at this pace"
