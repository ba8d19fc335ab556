"""What the channel does to who can hear whom: silent agents, and only the nearest neighbours.  Nothing else is sent.

Axis legend: N agents; of [N, N], entry [i, j] says that i can hear j, or how far apart the two are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coordinator.channel.settings import Channel


def within_reach(
    channel: Channel, hears: npt.NDArray[np.bool_], distances: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.bool_]:
    """bool [N, N]: what the channel leaves of `hears`.  Of two neighbours at the same distance the lower slot counts.

    `distances` float32 [N, N] are needed where `channel.nearest` is set.
    """
    left = hears.copy()
    left[:, list(channel.silent)] = False
    if channel.nearest is None:
        return left
    assert distances is not None
    order = np.argsort(np.where(left, distances, np.inf), axis=1, kind="stable")
    near = np.zeros_like(left)
    np.put_along_axis(near, order[:, : channel.nearest], True, axis=1)
    return left & near
