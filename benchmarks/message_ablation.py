"""What a 32 x 32 message needs before anybody can read it: the world model alone, on a random policy's experience.

    python benchmarks/message_ablation.py [--agents 3] [--updates 800] [--seeds 0] [--variants NAME ...] [--json FILE]

Prints, every hundred model updates, the reward error as a share of the reward's variance (1 means that nothing was
learned; in relay the own reward depends on a target that only another agent sees, so it can only fall by listening)
and the reconstruction error beside it.  Each variant changes one thing of the preset `relay`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

VARIANTS: dict[str, list[str]] = {
    "preset": [],
    "posterior starts as noise": ["mamba.model.posterior_scale=1.0"],
    "KL x 0.1": ["mamba.loss.kl_scale=0.1"],
    "KL x 1": ["mamba.loss.kl_scale=1.0"],
    "reward x 10": ["mamba.loss.reward_scale=10.0"],
    "reward x 1": ["mamba.loss.reward_scale=1.0"],
    "hidden 64": ["mamba.model.hidden=64", "mamba.model.recurrent=64"],
    "three layers": ["mamba.model.communication_layers=3"],
    "8 x 8 latents": ["mamba.model.categoricals=8", "mamba.model.classes=8"],
}
COPIES, EPISODES_PER_COPY, EVERY = 16, 50, 100


def measure(overrides: list[str], *, agents: int, seed: int, updates: int) -> list[dict[str, float]]:
    """Errors after every hundred updates."""
    import numpy as np
    import torch

    from heliograph.environments import registry
    from heliograph.seeds import episode_seed
    from trainer.algorithms.mamba.mamba import Mamba
    from trainer.experience.replay import Replay
    from trainer.experience.rows import Rows
    from trainer.nets.means import Means
    from trainer.training.preset import load_settings

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    settings = load_settings("relay", [f"environment.parameters.agents={agents}", *overrides])
    environment = registry.make("relay", count=COPIES, parameters=settings.environment.parameters)
    algorithm = Mamba(settings.mamba, environment.spec, device=torch.device("cpu"))
    replay = Replay(settings.replay, environment.spec, copies=COPIES)
    everyone, shape, rewards = np.arange(COPIES), (COPIES, agents), []
    for episode in range(EPISODES_PER_COPY):
        seeds = [episode_seed(run_seed=seed, episode=episode * COPIES + copy) for copy in range(COPIES)]
        agent_inputs = environment.reset(np.array(seeds))
        action, reward = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for step in range(environment.spec.episode_limit + 1):
            fields = {name: getattr(agent_inputs, name) for name in ("observation", "action_mask", "hears", "present")}
            replay.add(
                everyone,
                Rows(
                    **fields,
                    first=np.full(COPIES, step == 0),
                    action=action,
                    reward=reward,
                    terminated=np.zeros(shape, bool),
                ),
            )
            if step < environment.spec.episode_limit:
                action = (random.random(agent_inputs.action_mask.shape) * agent_inputs.action_mask).argmax(-1)
                transition = environment.step(action)
                agent_inputs, reward = transition.agent_inputs, transition.reward
                rewards.append(reward)
    variance = float(np.var(rewards))
    points, metrics, began = [], Means(), time.process_time()
    for update in range(1, updates + 1):
        algorithm.update_model(replay.sample(random).window, metrics)
        if update % EVERY == 0:
            found, metrics = metrics.result(), Means()
            points.append(
                {
                    "updates": update,
                    "cpu_s": time.process_time() - began,
                    "reward_error": found["model/reward"] / variance,
                    "reconstruction": found["model/reconstruction"],
                }
            )
    return points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--updates", type=int, default=800)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results: dict[str, Any] = {}
    for variant in namespace.variants:
        for seed in namespace.seeds:
            points = measure(VARIANTS[variant], agents=namespace.agents, seed=seed, updates=namespace.updates)
            results[f"{variant}, seed {seed}"] = points
            shown = "  ".join(f"{point['reward_error']:.2f}" for point in points)
            last = points[-1]
            print(
                f"{variant:26} seed {seed}  {last['cpu_s']:4.0f} CPU-s  reward error {shown}  "
                f"reconstruction {last['reconstruction']:.2f}",
                flush=True,
            )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
