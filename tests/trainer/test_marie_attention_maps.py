"""What MARIE's attention maps hold: the shares that the model itself attends by."""

from __future__ import annotations

import pytest
import torch
from test_marie_world_model import AGENTS, STEPS, TOKENS, lived, model_of

from trainer.algorithms.marie.attention_maps import AttentionMaps, attention_maps


@pytest.mark.parametrize("kind", ["aggregated", "centralised", "continuous"])
@torch.no_grad()
def test_shares_are_those_that_values_are_mixed_by(kind: str) -> None:
    model = model_of(kind)
    ids, action = lived(model)
    cut = torch.zeros(2, STEPS, dtype=torch.bool)
    cut[0, 1] = True
    maps = attention_maps(model, ids, action, cut)
    rows = model.embedded(ids, action)
    rows, allowed = rows + model.transformer.positions[: rows.shape[1]], model.allowed(cut)
    assert allowed is not None
    torch.testing.assert_close(maps.transformer.sum(-1), torch.ones_like(maps.transformer.sum(-1)))
    assert not maps.transformer[0].masked_select(~allowed.unsqueeze(1)).any()
    layer = model.transformer.layers[0]
    _, _, value = layer._projected(rows)
    mixed = (maps.transformer[0] @ value.unflatten(-1, (layer.heads, -1)).transpose(1, 2)).transpose(1, 2).flatten(2)
    bias = torch.zeros_like(allowed, dtype=rows.dtype).masked_fill(~allowed, -torch.inf)
    torch.testing.assert_close(layer._rest(rows, mixed), layer(rows, bias.unsqueeze(1)))
    if model.perceiver is None:
        assert maps.perceiver is None
        assert maps.differences() is None
    else:
        assert maps.perceiver is not None
        assert maps.perceiver.shape[:2] == (2, STEPS)
        assert maps.perceiver.shape[3:] == (AGENTS, AGENTS * (TOKENS + model.per_action))
        queries, context = model.perceiver._read(
            torch.cat([model.token_table(ids), model.action_rows(action)], dim=3).flatten(0, 1)
        )
        cross = model.perceiver.cross
        value = cross._split(cross.key_value(context).chunk(2, dim=-1)[1])
        mixed = (maps.perceiver.flatten(0, 1) @ value).transpose(1, 2).flatten(2)
        expected = cross(model.perceiver.norm_queries(queries), context)
        torch.testing.assert_close(cross.projection_out(mixed), expected)


def test_patterns_are_told_apart() -> None:
    block, steps = 3, 4
    length = block * steps
    last, stripes = torch.zeros(length, length), torch.zeros(length, length)
    for row in range(length):
        last[row, max(row - block, 0)] = 1.0
        stripes[row, row % block] = 1.0
    alike, unlike = torch.eye(4)[:1].repeat(2, 1), torch.eye(4)[:2]
    maps = AttentionMaps(
        transformer=torch.stack([last, stripes])[None, None],
        perceiver=torch.stack([alike, unlike])[None, None],
        block=block,
    )
    assert maps.to_last_transition().tolist() == [[1.0, 0.0]]
    assert maps.to_same_place().tolist() == [[0.0, 1.0]]
    differences = maps.differences()
    assert differences is not None
    assert differences.tolist() == [0.0, 1.0]
