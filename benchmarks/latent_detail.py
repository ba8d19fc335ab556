"""What of an observation latents keep: how much of the variance of each number they tell.

    python benchmarks/latent_detail.py RUN [--episodes 64] [--windows 300]

The final policy of a run plays, sampled; its model sees windows of that and makes every observation again.  For each
number of an observation that has a name: the share of its variance that is told, 1 - squared error / variance, and the
variance.  Dead or absent agents do not count.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from dream_error import load, play

from trainer.algorithms.dreamer.dreamer import Dreamer
from trainer.policy.imagined import ImaginedRollout


@torch.no_grad()
def told(path: Path, *, episodes: int, windows: int) -> list[tuple[str, float, float]]:
    """Name, share told and variance of each number that varies."""
    (model,) = load([path])
    algorithm = model.algorithm
    if not isinstance(algorithm, Dreamer):
        raise SystemExit(f"{path}: the latents of {model.folder.settings().algorithm} are not of single observations")
    replay = play(model, episodes=episodes, seed=5, longest=model.folder.settings().replay.window)
    window = replay.sample(np.random.default_rng(0), batch=windows).window
    features = algorithm.features(window)
    nothing = torch.zeros(0)
    seen = ImaginedRollout(
        features=features, action=nothing, logits=nothing, available=None, reward=nothing, continuation=nothing
    )
    counted = window.present & (window.observation != 0).any(-1)
    real, made = window.observation[counted], algorithm.reconstructed(seen)[counted]
    variance, error = real.var(0), (real - made).square().mean(0)
    names = algorithm.spec.observation_names or tuple(str(number) for number in range(real.shape[-1]))
    return [
        (name, float(1 - error[number] / variance[number]), float(variance[number]))
        for number, name in enumerate(names)
        if variance[number] > 0
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--windows", type=int, default=300)
    namespace = parser.parse_args()
    for name, share, variance in told(namespace.run, episodes=namespace.episodes, windows=namespace.windows):
        print(f"{name}: {share:.2f} of {variance:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
