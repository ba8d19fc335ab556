"""What a Flatland step costs: the adapter with its observations, beside the simulator with none, on the same episodes.

    python benchmarks/flatland_steps.py [--environments flatland-5 flatland-10 flatland-15] [--episodes 12]
                                        [--json FILE]

The adapter plays episodes with one copy and random legal actions.  flatland-rl's own RailEnv with its dummy
observation, default rewards and malfunctions then repeats the native actions of the same episodes, and must end with
the same trains arrived.  The two take turns, episode by episode.  Steps per CPU-second of one core
(`time.process_time`) leave resets out, which are shown beside, and with them the drawing of an episode's malfunctions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from flatland.core.env_observation_builder import DummyObservationBuilder
from flatland.envs.line_generators import sparse_line_generator
from flatland.envs.malfunction_generators import MalfunctionParameters, ParamMalfunctionGen
from flatland.envs.rail_env import RailEnv
from flatland.envs.rail_generators import sparse_rail_generator
from flatland.envs.step_utils.states import TrainState
from flatland.envs.timetable_utils import Timetable

from heliograph.environments import registry
from heliograph.environments.flatland.environment import FlatlandEnvironment
from heliograph.environments.flatland.settings import FlatlandSettings, step_limit
from heliograph.environments.reference import RandomPolicy

TARGETS = {"flatland-5": 1500, "flatland-10": 1200, "flatland-15": 1000}
"""Steps per CPU-second that the adapter should reach; MAMBA's released code made 1510, 542 and 442 on one machine."""


class Stopwatch:
    """Sums up the CPU time of what runs within it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._began


def play(
    environment: FlatlandEnvironment, seed: int, stepping: Stopwatch, resetting: Stopwatch
) -> list[dict[int, int]]:
    """One episode of the adapter; the native actions of each step."""
    taken: list[np.ndarray] = []
    team, policy = environment.teams[0], RandomPolicy(environment, seed=0)
    step_native = team.step_native

    def recorded(actions: np.ndarray) -> None:
        taken.append(actions)
        step_native(actions)

    team.step_native = recorded  # type: ignore[method-assign]
    policy.begin(0, episode=seed)
    with resetting:
        agent_inputs = environment.reset(np.array([seed]))
    with stepping:
        transition = policy.step(agent_inputs)
        while not transition.over[0]:
            transition = policy.step(transition.agent_inputs)
    del team.step_native
    return [dict(enumerate(actions.tolist())) for actions in taken]


def repeat(settings: FlatlandSettings, seed: int, actions: list[dict[int, int]], stepping: Stopwatch) -> list[bool]:
    """The same episode in the simulator alone; which trains arrived."""

    def timetable(agents: list[Any], distance_map: Any, hints: dict[str, Any], np_random: Any = None) -> Timetable:
        limit = step_limit(settings, cities=len(hints["city_positions"]))
        return Timetable([[0, None]] * len(agents), [[None, limit]] * len(agents), limit)

    simulator = RailEnv(
        width=settings.width,
        height=settings.height,
        number_of_agents=settings.agents,
        rail_generator=sparse_rail_generator(
            max_num_cities=settings.cities,
            grid_mode=False,
            max_rails_between_cities=settings.rails_between_cities,
            max_rail_pairs_in_city=settings.rail_pairs_in_city,
        ),
        line_generator=sparse_line_generator({1.0: 1.0}),
        timetable_generator=timetable,
        malfunction_generator=ParamMalfunctionGen(MalfunctionParameters(1 / settings.malfunction_interval, 20, 50)),
        obs_builder_object=DummyObservationBuilder(),
        random_seed=seed,
    )
    simulator.reset(random_seed=seed)
    # It would draw them in its first step; nothing else draws in between.
    simulator.malfunction_generator.generate_rand_numbers(simulator.np_random)
    with stepping:
        for action in actions:
            simulator.step(action)
    return [agent.state == TrainState.DONE for agent in simulator.agents]


def measure(name: str, *, episodes: int) -> dict[str, float]:
    environment = registry.make(name, count=1)
    assert isinstance(environment, FlatlandEnvironment)
    watches = {key: Stopwatch() for key in ("adapter", "adapter reset", "simulator")}
    steps = 0
    for seed in range(episodes + 1):
        if seed == 1:  # the first episode was to warm up
            steps = 0
            for watch in watches.values():
                watch.seconds = 0.0
        actions = play(environment, seed, watches["adapter"], watches["adapter reset"])
        arrived = repeat(environment.settings, seed, actions, watches["simulator"])
        if arrived != environment.teams[0].trains.arrived.tolist():
            raise SystemExit(f"{name}, seed {seed}: the two did not play the same episode")
        steps += len(actions)
    return {
        "steps": steps,
        "adapter_steps_per_cpu_s": steps / watches["adapter"].seconds,
        "simulator_steps_per_cpu_s": steps / watches["simulator"].seconds,
        "adapter_reset_s": watches["adapter reset"].seconds / episodes,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    results = {}
    print(f"{'':12} {'steps':>6} {'adapter/s':>10} {'target':>7} {'simulator/s':>12} {'ratio':>6} {'reset ms':>9}")
    for name in namespace.environments:
        row = results[name] = measure(name, episodes=namespace.episodes)
        print(
            f"{name:12} {row['steps']:6.0f} {row['adapter_steps_per_cpu_s']:10.0f} {TARGETS[name]:7} "
            f"{row['simulator_steps_per_cpu_s']:12.0f} "
            f"{row['adapter_steps_per_cpu_s'] / row['simulator_steps_per_cpu_s']:6.2f} "
            f"{row['adapter_reset_s'] * 1e3:9.0f}",
            flush=True,
        )
    if namespace.json:
        namespace.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
