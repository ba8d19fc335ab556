"""A network of each agent's own behind the interface of one that all share.  Only the trainer may import it.

Axis legend: N agents; the agent axis of every argument is that of the first one, its last but one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from trainer.nets.observation_scale import ScaledEncoder

Network = TypeVar("Network", bound=nn.Module)


class Agentwise(nn.Module, Generic[Network]):
    """`members[i]` computes the rows of agent i."""

    def __init__(self, make: Callable[[], Network], *, agents: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(make() for _ in range(agents))

    @property
    def each(self) -> Sequence[Network]:
        """The members, by slot."""
        return list(self.members)  # type: ignore[arg-type]  # a ModuleList forgets of what kind it was made

    def forward(self, *rows: Tensor | None) -> Any:
        """What the members return for their rows [..., N, X], joined again."""
        return each_its_own(self.each, *rows)


def per_agent(make: Callable[[], nn.Module], *, agents: int, shared: bool) -> nn.Module:
    """One network for all agents, or one for each."""
    return make() if shared else Agentwise(make, agents=agents)


def own(network: nn.Module, slot: int) -> nn.Module:
    """The network that agent `slot` runs."""
    if isinstance(network, ScaledEncoder):
        return ScaledEncoder(own(network.network, slot), network.scale)
    return network.each[slot] if isinstance(network, Agentwise) else network


def each_its_own(functions: Sequence[Callable[..., Any]], *rows: Tensor | None) -> Any:
    """The i-th function of the i-th rows along the agent axis, joined along it; a tuple if the functions return one."""
    assert rows[0] is not None
    axis = rows[0].dim() - 2
    results = [
        function(*(None if each is None else each.select(axis, slot) for each in rows))
        for slot, function in enumerate(functions)
    ]
    if isinstance(results[0], tuple):
        return tuple(torch.stack(parts, dim=axis) for parts in zip(*results, strict=True))
    return torch.stack(results, dim=axis)
