"""How MARIE's tokenizers keep their codes and what they lose of an observation, on SMAX under a random policy.

    python benchmarks/marie_tokenizer.py [--preset marie-smax-3m-cpu] [--rows 20000] [--updates 5000]
        [--variants ours code codebook data fsq bins] [--seeds 0] [--json FILE]

Each variant learns from the same rows with the sizes and rates of the preset; what is told is of as many rows of other
episodes: the mean error per dimension, absolute and squared, how many codes it chose there and the perplexity of that
choice.  `codebook` has the released codebook: random weights, counts of zero, no revival and short averages; `code` has
that and learns from absolute errors, too; `data` is ours begun at vectors of the first batch and not at means of them;
`fsq` and `bins` have as many choices as the codebook.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.environments import registry
from trainer.algorithms.marie.settings import MarieSettings
from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.algorithms.marie.tokenizer_learning import TokenizerLearner
from trainer.algorithms.marie.tokenizer_settings import TokenizerSettings
from trainer.training.preset import load_settings

VARIANTS = ("ours", "code", "codebook", "data", "fsq", "bins")
COPIES = 32
HELD_OUT_SEED = 10_000_000


def collect(world: str, rows: int, *, first_seed: int) -> Tensor:
    """Observations [rows, N, D] of whole episodes, one after another, under random legal actions."""
    environment = registry.make(world, count=COPIES)
    random = np.random.default_rng(first_seed)
    agent_inputs, next_seed = environment.reset(np.arange(first_seed, first_seed + COPIES)), first_seed + COPIES
    seen: list[np.ndarray] = []
    while len(seen) * COPIES < rows:
        seen.append(agent_inputs.observation.copy())
        mask = agent_inputs.action_mask
        transition = environment.step((random.random(mask.shape, dtype=np.float32) * mask).argmax(-1).astype(np.int32))
        agent_inputs = transition.agent_inputs
        over = np.flatnonzero(transition.over)
        if over.size:
            agent_inputs = environment.reset(np.arange(next_seed, next_seed + over.size), over)
            next_seed += over.size
    environment.close()
    return torch.from_numpy(np.concatenate(seen)[:rows])


@torch.no_grad()
def held_out(tokenizer: Tokenizer, rows: Tensor) -> dict[str, float]:
    """What a tokenizer makes of rows that it has not seen."""
    ids = torch.cat([tokenizer.encode(part) for part in rows.split(512)])
    error = tokenizer.observed(tokenizer.decode(ids)) - rows
    share = torch.bincount(ids.flatten(), minlength=tokenizer.vocabulary) / ids.numel()
    return {
        "absolute": float(error.abs().mean()),
        "squared": float(error.square().mean()),
        "codes": int((share > 0).sum()),
        "of": tokenizer.vocabulary,
        "perplexity": float(torch.exp(-torch.xlogy(share, share).sum())),
    }


def changed(settings: TokenizerSettings, variant: str) -> TokenizerSettings:
    """A preset's settings with what a variant has otherwise."""
    codes = settings.codebook.size
    side = round(codes ** (1 / 3))
    released = {"codebook": {"initialisation": "weights", "revival": "none", "decay": 0.8}}
    changes: dict[str, dict[str, Any]] = {
        "ours": {},
        "code": released | {"reconstruction": "absolute"},
        "codebook": released,
        "data": {"codebook": {"initialisation": "data"}},
        "fsq": {"discretisation": "fsq", "levels": (side, side, side)},
        "bins": {"discretisation": "bins", "bins": {"count": codes}},
    }
    values = settings.model_dump()
    for name, value in changes[variant].items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    return TokenizerSettings.model_validate(values)


def learn(settings: TokenizerSettings, seed: int, rows: Tensor, others: Tensor, updates: int) -> dict[str, float]:
    torch.manual_seed(seed)
    tokenizer = Tokenizer(settings, rows.shape[-1])
    learner, revived = TokenizerLearner(tokenizer), 0.0
    began = time.process_time()
    for update in range(updates if tokenizer.learns else 1):
        metrics = learner.update(rows[torch.randint(len(rows), (settings.batch,))])
        revived += metrics.get("tokenizer/codes_revived", 0.0)
        if (update + 1) % 1000 == 0:
            print(f"{update + 1} updates: {metrics}", file=sys.stderr, flush=True)
    seconds = time.process_time() - began
    return {**held_out(tokenizer, others), "revived": revived, "cpu_s": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="marie-smax-3m-cpu")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = load_settings(options.preset, [])
    assert isinstance(settings.marie, MarieSettings)
    rows = collect(settings.environment.id, options.rows, first_seed=0)
    others = collect(settings.environment.id, options.rows, first_seed=HELD_OUT_SEED)
    print(f"{options.preset}: {len(rows)} rows of {rows.shape[1]} agents, {rows.shape[2]} numbers each")
    header = f"{'variant':<8} {'seed':>4} {'|o - o`|':>9} {'squared':>9} {'codes':>9} {'perplexity':>10} {'revived':>8}"
    print(f"{header} {'CPU s':>8}", flush=True)
    results = []
    for variant in options.variants:
        for seed in options.seeds:
            found = learn(changed(settings.marie.tokenizer, variant), seed, rows, others, options.updates)
            results.append({"preset": options.preset, "variant": variant, "seed": seed, **found})
            print(
                f"{variant:<8} {seed:>4} {found['absolute']:>9.5f} {found['squared']:>9.5f} "
                f"{found['codes']:>4}/{found['of']:<4} {found['perplexity']:>10.1f} {found['revived']:>8.0f} "
                f"{found['cpu_s']:>8.0f}",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
