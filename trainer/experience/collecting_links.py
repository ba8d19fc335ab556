"""The links of the teams that collect experience, if they learn with a channel.

Axis legend: E copies, N agents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
import torch
from torch import Tensor

from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import AGE, OLDEST, Links, advance, begin, begin_again, fault_columns, sent_to


@runtime_checkable
class LossyBehaviour(Protocol):
    """A `Behaviour` that learns with a channel; its `act` takes the `age` of what is held, int64 [E, N, N], too."""

    channel: ChannelSettings


class CollectingLinks:
    """Of the running episodes of all copies, on the device of the networks."""

    def __init__(self, channel: ChannelSettings, *, copies: int, agents: int, generator: torch.Generator) -> None:
        self._channel, self._agents, self._generator = channel, agents, generator
        self._links = begin(channel, rows=copies, agents=agents, uniform=self._uniform)

    @classmethod
    def of(cls, behaviour: object, *, copies: int, agents: int, generator: torch.Generator) -> CollectingLinks | None:
        """None if the behaviour knows no channel."""
        if not isinstance(behaviour, LossyBehaviour):
            return None
        return cls(behaviour.channel, copies=copies, agents=agents, generator=generator)

    @property
    def age(self) -> Tensor:
        """int64 [E, N, N] of what is held now."""
        return self._links.age

    def begin(self, copies: npt.NDArray[Any]) -> None:
        """New episodes in some copies (int64 [R])."""
        fresh = begin(self._channel, rows=copies.size, agents=self._agents, uniform=self._uniform)
        self._links = begin_again(self._links, fresh, torch.from_numpy(copies).to(self._generator.device))

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """What replay keeps of them now, for all copies: how old what is held is, `OLDEST` at most, and the faults."""
        kept = {AGE: self._links.age.clamp(max=OLDEST)} | fault_columns(self._links)
        return {name: values.cpu().numpy() for name, values in kept.items()}

    def advance(self, sent: npt.NDArray[Any] | None, *, reach: npt.NDArray[Any]) -> None:
        """One step of all copies.

        `sent` bool [E, N] tells who sent its newest message, None: everyone; `reach` bool [E, N, N] whom it reached.
        """
        device = self._generator.device
        told = sent_to(None if sent is None else torch.from_numpy(sent).to(device), torch.from_numpy(reach).to(device))
        self._links = advance(self._links, self._channel, self._uniform, told)

    def state(self) -> dict[str, Tensor]:
        """By name, for checkpoints."""
        return {f"links.{field.name}": getattr(self._links, field.name) for field in fields(self._links)}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over a saved state."""
        device = self._generator.device
        self._links = Links(
            **{field.name: torch.from_numpy(arrays[f"links.{field.name}"]).to(device) for field in fields(Links)}
        )

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, device=self._generator.device, generator=self._generator)
