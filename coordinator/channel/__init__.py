"""The simulated channel: what an experiment does to the messages of a team, as pure functions of seeds and settings.

`Channel` (settings.py) says what is to happen; `Medium` (medium.py) says of each message of an episode whether it gets
through.  It is told here, once, to receivers with their inputs (`View.lost`, `View.late`), whether they are processes
or share one; nothing is ever dropped from a wire.  Two options act before that, on who can hear whom (hearing.py):
what is not heard is not sent.
"""

from coordinator.channel.settings import Channel
from heliograph.link_faults import Burst, Distance

__all__ = ["Burst", "Channel", "Distance"]
