"""What MARIE's updates cost at the sizes of its paper on SMAC's 3m: processor seconds and peak memory.

    python benchmarks/marie_speed.py [--parts model imagination] [--windows 30] [--starts 120] [--json FILE]

Every case runs in a process of its own on one thread, ours beside the *published arrangement* on the same machine:
attention scores and their dropout written out, three projections, anomaly detection on, losses of one sequence after
the other, an optimiser that is not fused; in imagination every token a pass of its own.  What is computed, dropout
included, is the same.  Ours goes through windows and rollouts some at a time (`at_once`), as is best on a CPU, and once
more with `marie.model.precision = "bfloat16"`.  The speed of one product of large matrices is measured in the same
process, before and after.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix_roof import matrix_roof_gflops

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.algorithms.marie.marie import Marie

AGENTS, OBSERVATION, ACTIONS, STEPS, STACK = 3, 30, 9, 15, 5
AT_ONCE = {"model": 2, "imagination": 60}
AUTHORS = {"model": (50.0, 9.0), "imagination": (76.0, 2.4)}
"""The released code, commit b2a60f6, on another machine: processor seconds of a model update, and of imagination from
120 starts with PPO; GiB."""


def arrange_as_published(marie: Marie) -> None:
    """From here on compute as the released code does."""
    import torch
    from torch.nn import functional

    from trainer.algorithms.marie import marie as module
    from trainer.algorithms.marie.imagination import Dream
    from trainer.algorithms.marie.transformer import TransformerLayer

    def attended(
        layer: TransformerLayer, rows: Tensor, key: Tensor, value: Tensor, query: Tensor, seen: Tensor
    ) -> Tensor:
        scores = (query @ key.transpose(-2, -1)) * key.shape[-1] ** -0.5
        weights = torch.softmax(scores.masked_fill(~seen, -torch.inf), dim=-1)
        mixed = functional.dropout(weights, layer.dropout, layer.training) @ value
        return layer._rest(rows, mixed.transpose(1, 2).flatten(2))

    def projected(layer: TransformerLayer, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        normed = layer.norm_attention(rows)
        weights, biases = layer.projection_in.weight.chunk(3), layer.projection_in.bias.chunk(3)
        parts = [functional.linear(normed, weight, bias) for weight, bias in zip(weights, biases, strict=True)]
        query, key, value = (part.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in parts)
        return query, key, value

    def forward(layer: TransformerLayer, rows: Tensor, bias: Tensor | None) -> Tensor:
        query, key, value = projected(layer, rows)
        steps = rows.shape[1]
        seen = torch.ones(steps, steps, dtype=torch.bool).tril() if bias is None else bias == 0
        return attended(layer, rows, key, value, query, seen)

    def extend(layer: TransformerLayer, rows: Tensor, keys: Tensor, values: Tensor, *, filled: int) -> Tensor:
        query, key, value = projected(layer, rows)
        end = filled + rows.shape[1]
        # Keys and values by head, as the released code keeps them, [R, h, S, w], in the memory of ours.
        keys, values = (kept.view(len(kept), layer.heads, kept.shape[1], -1) for kept in (keys, values))
        keys[:, :, filled:end], values[:, :, filled:end] = key, value
        seen = torch.arange(end) <= torch.arange(filled, end)[:, None]
        return attended(layer, rows, keys[:, :, :end], values[:, :, :end], query, seen)

    def draw(dream: Dream, draws: Any) -> Tensor:
        model = dream.model
        drawn: list[Tensor] = []
        for _ in range(model.observed):
            drawn.append(draws.latent(torch.softmax(model.next_logits(dream.last), dim=-1)))
            dream._read(model.token_table(drawn[-1]).unsqueeze(1))
        return torch.stack(drawn, dim=1).reshape(dream.starts, model.agents, -1)

    loss_of_all = module.marie_loss

    def one_after_another(model: Any, predictions: Any, ids: Any, segments: Any, *others: Any) -> Any:
        """The observation loss once more in a loop over sequences and their parts, of which the gradient is taken."""
        found = loss_of_all(model, predictions, ids, segments, *others)
        losses = []
        for window in range(ids.shape[0]):
            for agent in range(ids.shape[2]):
                logits, tokens = predictions.observation[window, agent], ids[window, :, agent].flatten()
                width = ids.shape[3]
                ends = [*(segments.done[window, :-1, agent].nonzero().flatten() + 1).tolist(), ids.shape[1]]
                parts, begin = [], 0
                for end in ends:
                    inner = slice(width * begin, width * end - 1)
                    parts.append(functional.cross_entropy(logits[inner], tokens[width * begin + 1 : width * end]))
                    begin = end
                losses.append(torch.stack(parts).mean())
        return type(found)(
            **{
                **{name: getattr(found, name) for name in found.__dataclass_fields__},
                "observation": torch.stack(losses).mean(),
            }
        )

    TransformerLayer.forward, TransformerLayer.extend = forward, extend  # type: ignore[method-assign]
    Dream.draw = draw  # type: ignore[method-assign]
    module.marie_loss = one_after_another
    for group in marie.optimisers()["model"].param_groups:
        group["fused"] = False
    torch.autograd.set_detect_anomaly(True)


def measure(part: str, arrangement: str, *, windows: int, starts: int) -> dict[str, float]:
    """One case, in this process: a world-model update, or imagination from some starts and PPO on it."""
    import torch

    from heliograph.environments.vector import EnvironmentSpec
    from trainer.algorithms.marie.imagination import ImaginedStarts
    from trainer.algorithms.marie.marie import Marie
    from trainer.algorithms.marie.segments import Segments
    from trainer.algorithms.marie.settings import MarieSettings
    from trainer.nets.means import Means

    published = arrangement == "published"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = EnvironmentSpec(
        id="3m",
        agents=AGENTS,
        observation_size=OBSERVATION,
        actions=ACTIONS,
        episode_limit=60,
        complete_graph=True,
        outcome="won",
        has_action_mask=True,
    )
    at_once = {"at_once": 0 if published else AT_ONCE[part]}
    settings = MarieSettings.model_validate(
        {
            "loss": {"observation": "published"},
            "model": {"precision": "bfloat16" if arrangement == "bfloat16" else "float32"},
            "optimiser": at_once,
            "policy": at_once,
        }
    )
    marie = Marie(settings, spec, device=torch.device("cpu"))
    marie.tokenizer_learner.update(torch.rand(256, AGENTS, OBSERVATION))
    if published:
        arrange_as_published(marie)
    shape = (windows, STEPS, AGENTS)
    cut = torch.zeros(shape[:2], dtype=torch.bool)
    cut[::2, STEPS // 2] = True
    segments = Segments(
        observation=torch.rand(*shape, OBSERVATION),
        action=torch.randint(ACTIONS, shape),
        acted=torch.ones(shape[:2], dtype=torch.bool),
        reward=torch.rand(shape),
        done=cut.unsqueeze(-1).repeat(1, 1, AGENTS),
        cut=cut,
        next_available=torch.ones(*shape, ACTIONS, dtype=torch.bool),
        followed=torch.ones(shape[:2], dtype=torch.bool),
    )
    seen = ImaginedStarts(
        observation=torch.rand(starts, STACK, AGENTS, OBSERVATION),
        filled=torch.ones(starts, STACK, dtype=torch.bool),
        action=torch.zeros(starts, AGENTS, dtype=torch.int64),
        first=torch.zeros(starts, dtype=torch.bool),
        available=torch.ones(starts, AGENTS, ACTIONS, dtype=torch.bool),
    )
    before, metrics, began = matrix_roof_gflops(time.process_time, repeats=8), Means(), time.process_time()
    if part == "model":
        marie.update_model(segments, metrics)
    else:
        marie.learn_policy(marie.imagine_from(seen), metrics)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": seconds,
        "peak_gib": peak,
        "roof_gflops": (before + matrix_roof_gflops(time.process_time, repeats=8)) / 2,
    }


def case(part: str, arrangement: str, options: list[str]) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--case", f"{part},{arrangement}", *options]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=sorted(AUTHORS), default=["model", "imagination"])
    parser.add_argument("--windows", type=int, default=30, help="of a model update (published: 30)")
    parser.add_argument("--starts", type=int, default=120, help="of imagination (published: 600)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    namespace = parser.parse_args()
    if namespace.case:
        part, arrangement = namespace.case.split(",")
        sizes = {"windows": namespace.windows, "starts": namespace.starts}
        print(json.dumps(measure(part, arrangement, **sizes)))
        return 0
    results = {}
    options = ["--windows", str(namespace.windows), "--starts", str(namespace.starts)]
    for part in namespace.parts:
        results[part] = {name: case(part, name, options) for name in ("published", "ours", "bfloat16")}
        published = results[part]["published"]
        print(f"{part}  (authors' code elsewhere {AUTHORS[part][0]:.0f} s, {AUTHORS[part][1]:.1f} GiB)")
        for name, found in results[part].items():
            print(
                f"  {name:10} {found['seconds']:6.1f} s and {found['peak_gib']:.2f} GiB, ratios "
                f"{found['seconds'] / published['seconds']:.2f} and {found['peak_gib'] / published['peak_gib']:.2f};  "
                f"matrices at {found['roof_gflops']:.0f} GFLOP/s",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
