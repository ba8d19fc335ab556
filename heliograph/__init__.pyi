"""What type checkers see of the public surface, which is resolved when it is used; a test compares the two."""

from agent_node.agent import Agent as Agent
from agent_node.node import Node as Node
from agent_node.world import World as World
from analysis.api import audit as audit
from analysis.api import bandwidth as bandwidth
from coordinator.api import evaluate as evaluate
from coordinator.api import run as run
from heliograph import errors as errors
from heliograph.api import load_team as load_team
from heliograph.environments.api import make_environment as make_environment
from heliograph.packing.api import pack as pack
from trainer.api import train as train
from trainer.modules import onnx_of as onnx_of

__version__: str
