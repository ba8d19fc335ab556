"""IPPO of BenchMARL (MIT, Bettini et al. 2024) on MPE's simple_spread, to be set beside ours under one budget.

    python3 -m venv ENV && ENV/bin/pip install benchmarl==1.5.2 'torchrl<0.12' pettingzoo==1.24.3 pygame
    ENV/bin/python benchmarks/spread_benchmarl.py --seeds 0 1 2 --out runs/benchmarl.json

It needs an environment of its own, as its versions of packages are not this project's, and imports nothing of it.
Budget and settings that both have are those of `benchmarks/spread.toml`: steps, copies, epochs, rates, widths.
Networks are not the same: its agents are perceptrons, ours remember.  Written are the mean returns of 64 greedy and of
64 sampled episodes after training, by seed; a return is the sum of rewards, averaged over the agents.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

STEPS, COPIES, PER_BATCH, EPISODES, LENGTH = 20_000, 8, 800, 64, 25


def experiment(seed: int, folder: Path) -> Any:
    """A training, not yet begun."""
    from benchmarl.algorithms import IppoConfig
    from benchmarl.environments import PettingZooTask
    from benchmarl.experiment import Experiment, ExperimentConfig
    from benchmarl.models.mlp import MlpConfig
    from torch import nn

    chosen = ExperimentConfig.get_from_yaml()
    chosen.max_n_frames, chosen.prefer_continuous_actions = STEPS, False
    chosen.on_policy_n_envs_per_worker, chosen.on_policy_collected_frames_per_batch = COPIES, PER_BATCH
    chosen.on_policy_minibatch_size, chosen.on_policy_n_minibatch_iters = PER_BATCH, 10
    chosen.lr, chosen.gamma, chosen.clip_grad_val = 1e-3, 0.95, 10.0
    chosen.evaluation, chosen.render, chosen.loggers, chosen.create_json = False, False, [], False
    chosen.save_folder = str(folder)
    algorithm = IppoConfig.get_from_yaml()
    algorithm.clip_epsilon, algorithm.entropy_coef, algorithm.lmbda = 0.2, 0.01, 0.95
    task = PettingZooTask.SIMPLE_SPREAD.get_from_yaml()
    task.config = {"task": "simple_spread_v3", "max_cycles": LENGTH, "local_ratio": 0.5, "N": 3}
    model = MlpConfig(num_cells=[64, 64], activation_class=nn.ReLU, layer_class=nn.Linear)
    return Experiment(
        task=task, algorithm_config=algorithm, model_config=model, critic_model_config=model, seed=seed, config=chosen
    )


def returns(made: Any, *, greedy: bool) -> list[float]:
    """Of whole episodes with the networks as they are."""
    import torch
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    kind = ExplorationType.DETERMINISTIC if greedy else ExplorationType.RANDOM
    found = []
    with torch.no_grad(), set_exploration_type(kind):
        for _ in range(EPISODES):
            rollout = made.test_env.rollout(max_steps=LENGTH, policy=made.policy)
            found.append(float(rollout["next", "agent", "reward"].sum(0).mean()))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarl.json"))
    namespace = parser.parse_args()
    results = {}
    for seed in namespace.seeds:
        with tempfile.TemporaryDirectory() as folder:
            made = experiment(seed, Path(folder))
            before = returns(made, greedy=False)
            made.run()
            after = {"greedy": returns(made, greedy=True), "sampled": returns(made, greedy=False)}
        means = {name: sum(values) / len(values) for name, values in (("before", before), *after.items())}
        results[seed] = means
        print(seed, {name: round(value, 2) for name, value in means.items()}, flush=True)
        namespace.out.parent.mkdir(parents=True, exist_ok=True)
        namespace.out.write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
