"""Who sent whom a message, and who read it: follows from who could hear whom.  For recordings and their readers.

Axis legend: T steps of an episode, N agents.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def sent(
    *, spoke: npt.NDArray[np.bool_], present: npt.NDArray[np.bool_], hears: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """bool [T, N, N]: [t, i, j] says that i sent its message of step t to j.

    A message goes at once to whoever can hear its sender at its step, and at the next step, if its sender still takes
    part, to whoever can hear it then and has not got it.  `spoke` bool [T, N] says who made a message at step t,
    `present` bool [T, N] who took part, `hears` bool [T, N, N] ([t, i, j]) whether i could hear j.
    """
    listens = np.swapaxes(hears, 1, 2)
    meant = listens.copy()
    meant[:-1] |= listens[1:] & present[1:, :, None]
    return meant & spoke[:, :, None]


def received(
    *, sent: npt.NDArray[np.bool_], hears: npt.NDArray[np.bool_], absent: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """bool [T, N, N]: [t, i, j] says that i read at step t the very message that j made at step t - 1.

    `absent` bool [T, N, N] marks what i should have heard and did not get in time.
    """
    read = np.zeros_like(hears)
    read[1:] = hears[1:] & np.swapaxes(sent[:-1], 1, 2) & ~absent[1:]
    return read
