"""The communication block: who reads whom, how far information travels, and that an agent alone computes the same."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.nets.communication import CommunicationBlock, EncoderLayer, position_code

WIDTH = 8


def block_of(agents: int, *, layers: int = 3, seed: int = 0, dropout: float = 0.0) -> CommunicationBlock:
    torch.manual_seed(seed)
    block = CommunicationBlock(agents=agents, width=WIDTH, layers=layers, heads=2, dropout=dropout)
    with torch.no_grad():  # as initialised, the norms would hide their scale and shift
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return block.double()


def tokens_of(rows: int, agents: int) -> torch.Tensor:
    return torch.randn(rows, agents, WIDTH, dtype=torch.float64)


@st.composite
def graphs(draw: st.DrawFn) -> torch.Tensor:
    """bool [2, N, N] of 2 to 5 agents, directed, false on the diagonal."""
    agents = draw(st.integers(2, 5))
    edges = draw(st.lists(st.booleans(), min_size=2 * agents**2, max_size=2 * agents**2))
    return torch.tensor(edges).reshape(2, agents, agents) & ~torch.eye(agents, dtype=torch.bool)


def chain(agents: int) -> torch.Tensor:
    """Agent i hears agent i + 1 and nobody else."""
    return torch.diag(torch.ones(agents - 1), 1).bool().unsqueeze(0)


def test_the_position_code_is_the_published_sinusoid() -> None:
    code = position_code(40, 6)
    for position in (0, 1, 7, 39):
        for column in range(6):
            angle = position / 10000 ** (2 * (column // 2) / 6)
            expected = math.cos(angle) if column % 2 else math.sin(angle)
            assert float(code[position, column]) == pytest.approx(expected, abs=1e-5)


def test_slots_are_told_apart_by_their_position_alone() -> None:
    block, same = block_of(3), torch.ones(1, 3, WIDTH, dtype=torch.float64)
    rows = block.complete(same)
    assert float((rows[:, 0] - rows[:, 1]).detach().abs().max()) > 1e-3
    block.positions.zero_()
    rows = block.complete(same)
    torch.testing.assert_close(rows[:, 0], rows[:, 1])


@pytest.mark.parametrize("mode", ["ego", "central"])
def test_on_a_complete_graph_every_mode_equals_full_attention(mode: str) -> None:
    block, tokens = block_of(4).float(), tokens_of(3, 4).float()
    everyone = ~torch.eye(4, dtype=torch.bool).expand(3, 4, 4)
    torch.testing.assert_close(getattr(block, mode)(tokens, everyone), block.complete(tokens), rtol=0, atol=1e-6)


@pytest.mark.slow
@given(graphs(), st.integers(0, 99))
@settings(max_examples=30)
def test_ego_rows_are_what_each_agent_computes_from_the_tokens_that_it_has(hears: torch.Tensor, seed: int) -> None:
    agents = hears.shape[-1]
    block, tokens = block_of(agents, seed=seed), tokens_of(2, agents)
    rows = block.ego(tokens, hears)
    for copy in range(2):
        for slot in range(agents):
            present = hears[copy, slot].clone()
            present[slot] = True
            alone = block.own_row(tokens[copy : copy + 1], present.unsqueeze(0), torch.tensor([slot]))
            torch.testing.assert_close(alone[0], rows[copy, slot], rtol=0, atol=1e-10)
            # The published layers over nothing but those tokens, without any mask.
            members = present.nonzero().flatten()
            subset = tokens[copy : copy + 1, members] + block.positions[members]
            for layer in block.layers:
                subset = layer(subset)
            own = int((members == slot).nonzero())
            torch.testing.assert_close(subset[0, own], rows[copy, slot], rtol=0, atol=1e-10)


@pytest.mark.slow
@given(graphs(), st.integers(0, 99))
@settings(max_examples=30)
def test_content_of_absent_tokens_never_matters_and_that_of_present_ones_does(hears: torch.Tensor, seed: int) -> None:
    agents = hears.shape[-1]
    block, tokens = block_of(agents, seed=seed), tokens_of(2, agents)
    for slot in range(agents):
        present = hears[:, slot].clone()
        present[:, slot] = True
        own = torch.tensor([slot, slot])
        row = block.own_row(tokens, present, own)
        filled = torch.where(present.unsqueeze(-1), tokens, torch.full_like(tokens, 1e6))
        assert torch.equal(block.own_row(filled, present, own), row)
        for other in range(agents):
            changed = tokens.clone()
            changed[:, other] += 1
            moved = (block.own_row(changed, present, own) - row).abs().amax(-1) > 1e-9
            assert torch.equal(moved, present[:, other])


def reach_of(block: CommunicationBlock, mode: str, *, agents: int) -> list[bool]:
    """Whether agent 0 of a chain notices a change of each agent's token."""
    tokens, hears = tokens_of(1, agents), chain(agents)
    before = getattr(block, mode)(tokens, hears)[0, 0]
    noticed = []
    for other in range(agents):
        changed = tokens.clone()
        changed[0, other] += 1
        noticed.append(bool((getattr(block, mode)(changed, hears)[0, 0] - before).abs().max() > 1e-9))
    return noticed


def test_in_ego_sets_information_travels_exactly_one_hop() -> None:
    assert reach_of(block_of(5), "ego", agents=5) == [True, True, False, False, False]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_in_central_attention_information_travels_one_hop_per_layer(layers: int) -> None:
    assert reach_of(block_of(5, layers=layers), "central", agents=5) == [hop <= layers for hop in range(5)]


def test_dropout_is_on_in_training_alone() -> None:
    block, tokens = block_of(3, dropout=0.5), tokens_of(2, 3)
    block.eval()
    assert torch.equal(block.complete(tokens), block.complete(tokens))
    block.train()
    assert not torch.equal(block.complete(tokens), block.complete(tokens))


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_attention_of_few_tokens_without_matrix_products_is_attention(tokens: int) -> None:
    layer = EncoderLayer(width=16, heads=4, dropout=0.3).double().eval()
    rows = torch.randn(7, tokens, 16, dtype=torch.float64)
    learning = layer(rows)
    assert learning.requires_grad, "with products, which have a gradient"
    with torch.inference_mode():
        assert layer._few(rows)
        torch.testing.assert_close(layer(rows), learning.detach(), rtol=0, atol=1e-12)
        assert not layer.train()._few(rows), "dropout is on"
        assert not layer._few(torch.zeros(7, 6, 16))
