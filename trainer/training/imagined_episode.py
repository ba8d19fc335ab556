"""A real episode, what the model imagines from one of its states, and what the world does if the team does that.

Axis legend: H transitions, S = H + 1 states, K rollouts, N agents, D observation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heliograph.actions import DiscreteActions
from heliograph.environments.pictures import picture_of
from heliograph.environments.vector import (
    AgentInputs,
    EnvironmentSpec,
    VectorEnvironment,
    checked_agent_inputs,
    checked_transition,
)
from heliograph.errors import SettingsError, WorldError
from heliograph.optional import optional
from heliograph.seeds import episode_seed
from trainer.algorithms.imagining import ImaginingAlgorithm
from trainer.experience.collector import Collector
from trainer.experience.replay import Replay
from trainer.experience.settings import ReplaySettings
from trainer.policy.draws import RandomDraws
from trainer.policy.survival import survival

OVER, ILLEGAL = "the episode was over", "the next action was illegal there"
"""Why a world did no more of what was wanted."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which episode, and what is imagined of it."""

    seed: int
    start: int = 0
    """The step of the episode from whose state the rollouts begin."""
    horizon: int | None = None
    """Transitions at most; None: as many as the episode still has."""
    rollouts: int = 8
    most_steps: int = 1000
    """Steps after which an episode that has not ended is left."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRun:
    """What a world did from the start on."""

    observation: npt.NDArray[np.float32]
    """[S, N, D], fewer where the episode ended sooner, or an action could not be taken."""
    reward: npt.NDArray[np.float64]
    """[H]: the team's, a mean over its agents."""
    frames: list[npt.NDArray[np.uint8]]
    """Pictures of the states; none where the world cannot be drawn."""
    ended: str = ""
    """`OVER` or `ILLEGAL`; empty where all was done that was wanted."""


@dataclass(frozen=True, kw_only=True)
class Imagined:
    """What a model imagined."""

    observation: npt.NDArray[np.float32]
    """[S, N, D]: reconstructed, of the first rollout."""
    reward: npt.NDArray[np.float64]
    """[K, H]: the team's, a mean over its agents, as if the episode went on."""
    survival: npt.NDArray[np.float64]
    """[K, H]: probability that it has not ended before, a mean over the agents."""

    @property
    def earned(self) -> npt.NDArray[np.float64]:
        """[K, H]: rewards, as often as the episode goes on so far."""
        return self.reward * self.survival


@dataclass(frozen=True, kw_only=True)
class ImaginedBesideReal:
    wanted: Wanted
    real: EpisodeRun
    imagined: Imagined
    replayed: EpisodeRun
    """The same world from the same state, where the team does what it did in the first rollout."""

    @property
    def drawn(self) -> bool:
        """There are pictures of the world in both."""
        return bool(self.real.frames and self.replayed.frames)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        imagined = self.imagined
        return {
            "seed": self.wanted.seed,
            "start": self.wanted.start,
            "transitions": len(self.real.reward),
            "real": _document(self.real),
            "rollouts": [
                {
                    "return": float(earned.sum()),
                    "length": float(lasts.sum()),
                    "reward": reward.tolist(),
                    "survival": lasts.tolist(),
                }
                for earned, reward, lasts in zip(imagined.earned, imagined.reward, imagined.survival, strict=True)
            ],
            "first_rollout_replayed": _document(self.replayed) | {"ended": self.replayed.ended or None},
        }


def imagined_beside_real(
    algorithm: ImaginingAlgorithm,
    environment: VectorEnvironment,
    settings: ReplaySettings,
    wanted: Wanted,
    *,
    device: torch.device,
) -> ImaginedBesideReal:
    """Play one episode, sampled, in an environment of one copy, and imagine from one of its states.

    Draws follow from the seed alone.  Raises SettingsError where the episode has no such step, WorldError as
    environments do.
    """
    replay, length = _run_episode(algorithm, environment, settings, wanted, device=device)
    if wanted.start >= length:
        raise SettingsError(
            f"the episode of seed {wanted.seed} has {length} steps, so there is nothing after step {wanted.start}",
            remedy=f"--start 0 to {length - 1}, or another --seed",
        )
    horizon = min(
        limit for limit in (length - wanted.start, wanted.horizon, algorithm.longest_rollout) if limit is not None
    )
    before = algorithm.leading_rows(settings.window)
    many = (np.zeros(wanted.rollouts, np.int64), np.full(wanted.rollouts, wanted.start))
    draws = RandomDraws(torch.Generator(device).manual_seed(wanted.seed % 2**63))
    rollout = algorithm.imagine_after(replay.around(*many, before=before, after=0).to(device), draws, horizon=horizon)
    done = replay.around(many[0][:1], np.zeros(1, np.int64), before=0, after=length).window.action[1:, 0]
    imagined = rollout.action[:, 0].cpu()
    seed, led = episode_seed(run_seed=wanted.seed, episode=0), done[: wanted.start]

    def played(actions: torch.Tensor) -> EpisodeRun:
        given = torch.cat([led, actions.to(led.dtype)])
        return _episode_run(environment, given.numpy(), seed=seed, start=wanted.start)

    lasts = survival(rollout.continuation).double().mean(-1).cpu().numpy().T
    return ImaginedBesideReal(
        wanted=wanted,
        real=played(done[wanted.start : wanted.start + horizon]),
        imagined=Imagined(
            observation=algorithm.reconstructed(rollout)[:, 0].cpu().numpy(),
            reward=rollout.reward.double().mean(-1).cpu().numpy().T,
            survival=lasts,
        ),
        replayed=played(imagined),
    )


def _run_episode(
    algorithm: ImaginingAlgorithm,
    environment: VectorEnvironment,
    settings: ReplaySettings,
    wanted: Wanted,
    *,
    device: torch.device,
) -> tuple[Replay, int]:
    """One episode as a training collects it, and its length."""
    room = settings.model_copy(update={"capacity": wanted.most_steps + settings.absorbing_rows + 2})
    replay = Replay(room, environment.spec, copies=1, columns=algorithm.columns())
    behaviour = algorithm.behaviour()
    collector = Collector(environment, behaviour, replay, seed=wanted.seed, device=device)
    for step in range(wanted.most_steps):
        if ended := collector.collect(1, behaviour).length:
            collector.commit()
            return replay, ended[0]
        if collector.lost_episodes:
            raise WorldError(f"the episode was lost with its simulator after {step} steps", remedy="Run it again")
    collector.commit()
    return replay, wanted.most_steps


def _episode_run(
    environment: VectorEnvironment,
    actions: npt.NDArray[Any],
    *,
    seed: int,
    start: int,
) -> EpisodeRun:
    """A world's episode under actions [start + H, N, ...], from `start` on."""
    agent_inputs = checked_agent_inputs(environment.reset(np.array([seed])), of=environment)
    observations, rewards, ended = [], [], ""
    frames: list[npt.NDArray[np.uint8]] = []
    drawing = environment.spec.renders

    def look() -> None:
        nonlocal drawing
        observations.append(agent_inputs.observation[0].copy())
        if drawing:
            drawing = False
            with optional("the world is not drawn"):
                frames.append(picture_of(environment).copy())
                drawing = True
            if not drawing:
                frames.clear()

    for step, action in enumerate(actions):
        if step == start:
            look()
        executed = _executed(agent_inputs, action, environment.spec)
        if executed is None:
            ended = ILLEGAL
            break
        transition = checked_transition(environment.step(executed[None]), of=environment)
        agent_inputs = transition.agent_inputs
        if step >= start:
            rewards.append(float(transition.reward[0].mean()))
            look()
        if transition.over[0]:
            ended = OVER if step + 1 < len(actions) else ""
            break
    if not observations:
        raise WorldError(
            f"{environment.spec.id} does not repeat an episode of the same seed and actions: it did not come to step "
            f"{start} again",
            remedy="Make its random numbers follow from the seed alone",
        )
    return EpisodeRun(observation=np.stack(observations), reward=np.array(rewards), frames=frames, ended=ended)


def _executed(agent_inputs: AgentInputs, action: npt.NDArray[Any], spec: EnvironmentSpec) -> npt.NDArray[Any] | None:
    """What a team [N, ...] that wants this does: agents that are gone do anything; None if one that is there may not.

    Numbers are checked by the masks, vectors may be any.
    """
    done = action.copy()
    numbers = done if not spec.rows.size else done[:, 0]  # of a mixed team, whose vectors have one that is ignored
    for slot in range(spec.agents):
        mask = agent_inputs.action_mask[0, slot]
        if not isinstance(spec.action_space(slot), DiscreteActions) or mask[int(numbers[slot])]:
            continue
        if agent_inputs.present[0, slot]:
            return None
        numbers[slot] = mask.argmax()
    return done


def _document(played: EpisodeRun) -> dict[str, Any]:
    return {
        "return": float(played.reward.sum()),
        "length": len(played.reward),
        "reward": played.reward.tolist(),
    }
