"""The environments with a name of their own: what each is, what it needs, and where its adapter lives.

Data only: an adapter, and the simulator under it, is imported when `heliograph.environments.registry` makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.environments.football.scenarios import INSTALL
from heliograph.environments.football.scenarios import SCENARIOS as ACADEMY
from heliograph.environments.matrix.games import GAMES
from heliograph.environments.mujoco.robots import NAMED_ROBOTS
from heliograph.environments.single.tasks import NAMED_TASKS, TASKS
from heliograph.environments.smac.maps import RACES, SMAC_MAPS, SMACV2_SIZES
from heliograph.environments.smax import measured as fog
from heliograph.environments.smax.scenarios import SCENARIOS


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One named environment."""

    summary: str
    family: str = ""
    """Heading that it is listed under; empty for what its name begins with."""
    adapter: str
    """`module:Class` of a VectorEnvironment made from (settings, count=), or the import path of a module with a
    PettingZoo `parallel_env`."""
    settings: str = ""
    """`module:Class` of the adapter's Settings; empty for a PettingZoo module, whose own factory checks parameters."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that the name stands for; those given by the caller override them."""
    package: str = ""
    """What must be importable; empty for what the base install holds."""
    extra: str = ""
    """The extra of this project that installs the package."""
    install: str = ""
    """Shell commands, joined by ` && `, that install what no extra can."""
    references: Mapping[str, str] = field(default_factory=dict)
    """`module:Class` of reference policies by name, beside `random`; see `heliograph.environments.reference`."""
    steps_at_once: str = ""
    """How it keeps its copies busy together by itself, as the end of a sentence; empty where workers can help."""


_HERE = "heliograph.environments"


def _flatland(summary: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        adapter=f"{_HERE}.flatland.environment:FlatlandEnvironment",
        settings=f"{_HERE}.flatland.settings:FlatlandSettings",
        defaults=defaults,
        package="flatland",
        extra="flatland",
        references={
            "shortest-path": f"{_HERE}.flatland.policies:ShortestPath",
            "deadlock-avoidance": f"{_HERE}.flatland.policies:DeadlockAvoidance",
        },
    )


def _smac(kind: str, summary: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        adapter=f"{_HERE}.smac.environment:SmacEnvironment",
        settings=f"{_HERE}.smac.settings:{kind}",
        defaults=defaults,
        package="smacv2",
        # Neither it nor the game is on PyPI, where `smac` is something else; with its dependencies it would replace
        # protobuf by a version that is too old for us.
        install="pip install 'heliograph[smac]' && pip install --no-deps git+https://github.com/oxwhirl/smacv2.git"
        " && heliograph doctor smac",
        steps_at_once="plays each copy in a process of its own",
    )


def _mujoco(summary: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        family="mamujoco",
        adapter=f"{_HERE}.mujoco.environment:MujocoEnvironment",
        settings=f"{_HERE}.mujoco.environment:MujocoSettings",
        defaults=defaults,
        package="gymnasium_robotics",
        extra="mujoco",
        references={"idle": f"{_HERE}.reference:IdlePolicy"},
    )


def _single(summary: str, *, package: str, extra: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        family="gymnasium",
        adapter=f"{_HERE}.single.environment:SingleEnvironment",
        settings=f"{_HERE}.single.settings:SingleSettings",
        defaults=defaults,
        package=package,
        extra=extra,
    )


def _matrix(summary: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        adapter=f"{_HERE}.matrix.environment:MatrixEnvironment",
        settings=f"{_HERE}.matrix.environment:MatrixSettings",
        defaults=defaults,
        references={"optimum": f"{_HERE}.matrix.optimum:Optimum"},
    )


def _traffic(summary: str, difficulty: str) -> Entry:
    return Entry(
        summary=summary,
        family="traffic-junction",
        adapter=f"{_HERE}.traffic.environment:TrafficEnvironment",
        settings=f"{_HERE}.traffic.settings:TrafficSettings",
        defaults={"difficulty": difficulty},
        references={
            "silent": f"{_HERE}.traffic.silence:Silent",
            "yielding": f"{_HERE}.traffic.yielding:Yielding",
        },
    )


def _prey(summary: str, **defaults: Any) -> Entry:
    return Entry(
        summary=summary,
        family="predator-prey",
        adapter=f"{_HERE}.prey.environment:PreyEnvironment",
        settings=f"{_HERE}.prey.environment:PreySettings",
        defaults=defaults,
        references={"silent": f"{_HERE}.prey.silence:Silent"},
    )


CATALOGUE: dict[str, Entry] = {
    "relay": Entry(
        summary="walk to a target that only a teammate can see",
        adapter=f"{_HERE}.relay:RelayEnvironment",
        settings=f"{_HERE}.relay:RelaySettings",
    ),
    "relay-signal": Entry(
        summary="name a symbol that only a teammate can see",
        adapter=f"{_HERE}.relay_signal:RelaySignalEnvironment",
        settings=f"{_HERE}.relay_signal:RelaySignalSettings",
    ),
    "hidden-profile": Entry(
        summary="enter a number of which each agent holds one digit, over as many hops as it takes",
        adapter=f"{_HERE}.hidden_profile:HiddenProfileEnvironment",
        settings=f"{_HERE}.hidden_profile:HiddenProfileSettings",
    ),
    "traffic-junction-easy": _traffic("5 cars that cannot see one another, one crossing", "easy"),
    "traffic-junction-medium": _traffic("10 cars, one junction of two-way roads", "medium"),
    "traffic-junction-hard": _traffic("20 cars, four junctions", "hard"),
    "predator-prey-3": _prey("3 predators that see their own cell alone look for a prey, 5 x 5 cells"),
    "predator-prey-5": _prey("5 predators, 10 x 10 cells", agents=5, size=10, length=40, vision=1),
    "predator-prey-10": _prey("10 predators, 20 x 20 cells", agents=10, size=20, length=80, vision=1),
    "matrix": _matrix("two agents choose at once, and both get what a table says: any of these games"),
    **{f"matrix-{name}": _matrix(game.summary, game=name) for name, game in GAMES.items()},
    "matrix-two-step": Entry(
        summary="choose a table, then play it: 7 for certain, or 8 if both choose right",
        adapter=f"{_HERE}.matrix.two_step:TwoStepEnvironment",
        settings=f"{_HERE}.matrix.two_step:TwoStepSettings",
        references={"optimum": f"{_HERE}.matrix.two_step:Optimum"},
    ),
    "flatland": _flatland("trains that must not block one another, on maps of any size"),
    "flatland-5": _flatland("5 trains, 35 x 35 cells, 3 cities"),
    "flatland-10": _flatland("10 trains, 35 x 35 cells, 4 cities", agents=10, cities=4, malfunction_interval=150.0),
    "flatland-15": _flatland(
        "15 trains, 45 x 40 cells, 5 cities", agents=15, width=45, height=40, cities=5, malfunction_interval=200.0
    ),
    "flatland-bottleneck": Entry(
        summary="two trains, a passage of one track that both want, and no sight of one another",
        family="flatland",
        adapter=f"{_HERE}.flatland.environment:FlatlandEnvironment",
        settings=f"{_HERE}.flatland.bottleneck_settings:BottleneckSettings",
        package="flatland",
        extra="flatland",
        references={
            "silent": f"{_HERE}.flatland.bottleneck_policies:Silent",
            "first-come": f"{_HERE}.flatland.bottleneck_policies:FirstCome",
        },
    ),
    **{
        f"mpe2.{name}": Entry(summary=summary, adapter=f"mpe2.{name}", package="mpe2", extra="mpe")
        for name, summary in {
            "simple_spread_v3": "cover all landmarks without bumping into one another",
            "simple_speaker_listener_v4": "a speaker that cannot move, a listener that cannot see",
            "simple_reference_v3": "two agents, each of which alone knows where the other is to go",
            "simple_adversary_v3": "hide from an adversary which landmark is the goal",
            "simple_crypto_v3": "tell a friend a secret that an eavesdropper hears, too",
            "simple_push_v3": "reach a landmark that another agent keeps one away from",
            "simple_tag_v3": "several slow agents chase a fast one",
            "simple_world_comm_v3": "a chase with food, forests to hide in, and a leader who speaks",
            "simple_v3": "one agent walks to one landmark",
        }.items()
    },
    **{
        f"smax-{name}": Entry(
            summary=f"battle, {scenario.summary}",
            adapter=f"{_HERE}.smax.environment:SmaxEnvironment",
            settings=f"{_HERE}.smax.environment:SmaxSettings",
            defaults={"scenario": name},
            package="jaxmarl",
            extra="smax",
            steps_at_once="steps all its copies in one compiled call",
        )
        for name, scenario in SCENARIOS.items()
    },
    **{
        f"smax-{name}-fog": Entry(
            summary=f"battle, {SCENARIOS[name].summary}, of units that see {fog.SIGHT:g} map units far"
            f" and send {fog.RADIO:g} far",
            adapter=f"{_HERE}.smax.environment:SmaxEnvironment",
            settings=f"{_HERE}.smax.environment:SmaxSettings",
            defaults={"scenario": name, "sight_range": fog.SIGHT, "radio_range": fog.RADIO},
            package="jaxmarl",
            extra="smax",
            steps_at_once="steps all its copies in one compiled call",
            references={"silent": f"{_HERE}.smax.silence:Silent"},
        )
        for name in fog.MEASURED
    },
    "mamujoco": _mujoco("robots whose joints are shared out among agents: any of these, shared out in any way"),
    **{
        name: _mujoco(robot.summary, scenario=robot.scenario, agent_conf=robot.agent_conf)
        for name, robot in NAMED_ROBOTS.items()
    },
    "gymnasium": _single(
        "worlds of one agent: any of these, their actions as they are or in levels",
        package="gymnasium",
        extra="gymnasium",
    ),
    **{
        name: _single(
            named.summary,
            package=TASKS[named.task].package or "gymnasium",
            extra=TASKS[named.task].extra,
            **named.parameters,
        )
        for name, named in NAMED_TASKS.items()
    },
    **{
        f"football-{name}": Entry(
            summary=scenario.summary,
            adapter=f"{_HERE}.football.environment:FootballEnvironment",
            settings=f"{_HERE}.football.environment:FootballSettings",
            defaults={"scenario": name},
            package="gfootball",
            install=INSTALL,
        )
        for name, scenario in ACADEMY.items()
    },
    **{
        f"smac-{name}": _smac("SmacSettings", f"battle, {battle.allies} units against {battle.enemies}", map=name)
        for name, battle in SMAC_MAPS.items()
    },
    **{
        f"smacv2-{race}-{units}_vs_{enemies}": _smac(
            "Smacv2Settings",
            f"battle, {units} units against {enemies}, types and places drawn",
            race=race,
            units=units,
            enemies=enemies,
        )
        for race in RACES
        for units, enemies in SMACV2_SIZES
    },
}
