"""Heliograph: the runtime for teams of agents that act apart and think together.

This package is what every process shares.  It imports neither torch nor any simulator, nor one of the three
roles (`agent_node`, `coordinator`, `trainer`); a test holds that.
"""

from __future__ import annotations

__version__ = "0.1.0"
