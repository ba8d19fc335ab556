"""What an agent sees at once: its last observations, and who it is and what it did where the settings say so.

Axis legend: E copies, T rows and B windows of replay, N agents, F frames, O numbers of a frame, X numbers that an
agent sees, D observation, A actions.

A frame is an observation, with the one-hot action that led to it behind it if agents read their last action.  Before
an episode its first frame is repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.settings import MazeroModelSettings
from trainer.experience.window import Window


def frame_size(settings: MazeroModelSettings, spec: EnvironmentSpec) -> int:
    """O."""
    return spec.observation_size + (spec.actions if settings.last_action else 0)


def seen_size(settings: MazeroModelSettings, spec: EnvironmentSpec) -> int:
    """X."""
    return settings.frames * frame_size(settings, spec) + (spec.agents if settings.agent_identity else 0)


def frame(settings: MazeroModelSettings, observation: Tensor, action: Tensor, first: Tensor, actions: int) -> Tensor:
    """[..., O] of observations [..., D] and the actions, int64 [...], before them, which nobody did at a `first` step
    (bool, broadcastable to [...])."""
    if not settings.last_action:
        return observation
    done = functional.one_hot(action, actions).to(observation.dtype) * (~first).unsqueeze(-1).to(observation.dtype)
    return torch.cat([observation, done], dim=-1)


def pushed(frames: Tensor, newest: Tensor, first: Tensor) -> Tensor:
    """Frames [..., F, O], oldest first, after `newest` [..., O] has come; at a `first` step there is nothing else."""
    repeated = newest.unsqueeze(-2).expand_as(frames)
    shifted = torch.cat([frames[..., 1:, :], newest.unsqueeze(-2)], dim=-2)
    return torch.where(first[..., None, None], repeated, shifted)


# Six parameters: what was remembered, what came, and how the three are put together.
def remembered(
    settings: MazeroModelSettings, frames: Tensor, done: Tensor, observation: Tensor, first: Tensor, actions: int
) -> Tensor:
    """The frames [E, N, F, O] of all agents once observations [E, N, D] have followed their actions `done`, int64
    [E, N]; `first`, bool [E], are first steps."""
    begins = first.unsqueeze(-1).expand(done.shape)
    return pushed(frames, frame(settings, observation, done, begins, actions), begins)


def seen(settings: MazeroModelSettings, frames: Tensor) -> Tensor:
    """[..., N, X] of all agents' frames [..., N, F, O]."""
    flat = frames.flatten(-2)
    if not settings.agent_identity:
        return flat
    agents = flat.shape[-2]
    identity = torch.eye(agents, dtype=flat.dtype, device=flat.device).expand(*flat.shape[:-1], agents)
    return torch.cat([flat, identity], dim=-1)


def seen_in(settings: MazeroModelSettings, window: Window, actions: int) -> Tensor:
    """[T, B, N, X] of a window whose first F - 1 rows lead up to its T others."""
    first = window.first.unsqueeze(-1)
    rows = frame(settings, window.observation, window.action, first, actions)  # [F - 1 + T, B, N, O]
    count = len(rows) - settings.frames + 1
    frames = torch.stack([rows[at : at + count] for at in range(settings.frames)], dim=-2)
    return seen(settings, frames)
