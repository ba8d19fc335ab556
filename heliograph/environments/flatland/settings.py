"""Parameters of the Flatland environments, checked as far as that goes without the simulator.

For `heliograph.environments`; read by `heliograph.environments.registry`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliograph.settings import Settings


class FlatlandSettings(Settings):
    """Parameters of the environment `flatland`."""

    agents: Annotated[int, Field(ge=1, le=200)] = 5
    """Trains."""
    width: Annotated[int, Field(ge=2, le=400)] = 35
    """Columns of the map."""
    height: Annotated[int, Field(ge=2, le=400)] = 35
    """Rows of the map."""
    cities: Annotated[int, Field(ge=2, le=400)] = 3
    """Cities that the generator tries to place; trains run between them."""
    rails_between_cities: Annotated[int, Field(ge=1, le=8)] = 2
    """Most parallel rails at the gate of a city."""
    rail_pairs_in_city: Annotated[int, Field(ge=1, le=4)] = 2
    """Most pairs of parallel rails within a city."""
    malfunction_interval: Annotated[float, Field(ge=0)] = 100.0
    """Mean steps between two malfunctions of a train; 0 for none."""
    malfunction_shortest: Annotated[int, Field(ge=1)] = 20
    """Fewest steps that a malfunction takes."""
    malfunction_longest: Annotated[int, Field(ge=1)] = 50
    """Most steps that a malfunction takes."""
    rail_seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Seed of rails that are the same in every episode; without one each episode has its own."""
    step_limit: Annotated[int, Field(ge=1)] | None = None
    """Steps after which an episode is truncated; otherwise int(8 (width + height + trains / cities placed))."""
    neighbours: Literal["tree", "rail"] = "tree"
    """Whom a train hears: "tree", the first train that can still move on each of the 14 edges of its tree (directed;
    trains before their departure are heard by nobody); "rail", all within `rail_reach`."""
    rail_reach: Annotated[int, Field(ge=0)] = 10
    """For `neighbours = "rail"`: cells of the shortest way along rails, whatever its direction, between two trains
    that are on their way or wait at their start."""
    sight: Annotated[int, Field(ge=0)] | None = None
    """Cells ahead in which a train sees others; none: as far as its tree reaches."""
    arrival_reward: float = 10.0
    """Once, on arrival."""
    approach_reward: float = 0.01
    """Times the cells gained towards the target by the shortest path."""
    unreachable_cells: Annotated[float, Field(gt=0)] = 1000.0
    """Cells that a target out of reach is away in the reward, as in MAMBA's code; with a large `approach_reward` one
    wrong turn then outweighs everything else."""
    deadlock_reward: float = -5.0
    """Once, when no train ahead will ever let this one pass."""
    published: bool = False
    """The observation in the form of MAMBA's code, and all three actions legal even where the first is taken in their
    place; otherwise see `flatland.observation.look`, and a forced move is the only legal action."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.check_malfunctions()
        side = city_side(self.rail_pairs_in_city)
        room = ((self.height - 2) // side) * ((self.width - 2) // side)
        if room < self.cities:
            raise ValueError(
                f"a map of {self.width} x {self.height} has room for {room} cities of {side} x {side} cells inside a "
                f"border of 1, not {self.cities}: make it larger, or ask for fewer cities or rail_pairs_in_city"
            )
        return self

    def check_malfunctions(self) -> None:
        """Raises ValueError for lengths of malfunctions that contradict one another."""
        if self.malfunction_longest < self.malfunction_shortest:
            shortest, longest = self.malfunction_shortest, self.malfunction_longest
            raise ValueError(f"malfunction_longest {longest} is less than malfunction_shortest {shortest}")


def city_side(rail_pairs: int) -> int:
    """Cells of a side of the square that the generator keeps for a city."""
    return 2 * (rail_pairs + 2 + 1)


def step_limit(settings: FlatlandSettings, *, cities: int) -> int:
    """Steps of an episode on a map with that many cities."""
    return int(8 * (settings.width + settings.height + settings.agents / cities))
