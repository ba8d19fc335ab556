"""torch's optimisers without its compiler: the same steps, the same state, and nothing of the compiler is loaded."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch

from trainer.nets import optimisers

SETTINGS: dict[str, dict[str, Any]] = {
    "Adam": {"fused": True, "weight_decay": 1e-3},
    "AdamW": {"fused": True},
    "RMSprop": {"alpha": 0.9},
    "SGD": {"momentum": 0.9},
}


def stepped(kind: type[torch.optim.Optimizer], state: dict[str, Any] | None = None, **settings: Any) -> Any:
    """Parameters and state after three steps, from a state if there is one."""
    weights = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    optimiser = kind([{"params": [weights]}], lr=0.1, **settings)  # type: ignore[call-arg]
    if state is not None:
        optimiser.load_state_dict(copy.deepcopy(state))
    for step in range(3):
        optimiser.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimiser.zero_grad(set_to_none=True)
        (weights**2).sum().backward()
        optimiser.step()
    assert weights.requires_grad
    return weights.detach(), optimiser.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_steps_and_state_are_those_of_torch(name: str) -> None:
    theirs = stepped(getattr(torch.optim, name), **SETTINGS[name])
    ours = stepped(getattr(optimisers, name), **SETTINGS[name])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    resumed = (stepped(getattr(kinds, name), theirs[1], **SETTINGS[name]) for kinds in (optimisers, torch.optim))
    torch.testing.assert_close(*resumed, rtol=0, atol=0)


@pytest.mark.slow
def test_a_process_that_learns_loads_no_compiler() -> None:
    code = (
        "import sys, torch; from trainer.nets.gradient_steps import adam, gradient_step; net = torch.nn.Linear(2, 1); "
        "optimiser = adam(net, 0.1); gradient_step('net', net, optimiser, net(torch.ones(2)).sum(), clip=1.0); "
        "optimiser.load_state_dict(optimiser.state_dict()); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
