"""ONNX's own recurrent layers: what shapes come out of `GRU` and `LSTM`, and how much work they are.

Axis legend: T steps, B rows, I numbers of an input, H of a state, R directions.
"""

from __future__ import annotations

from heliograph.graph.call import Call, size_of
from heliograph.graph.reading import Refused, Shape

GATES = {"GRU": 3, "LSTM": 4}
_LENGTHS = 4
"""The input that may give each row a length of its own."""


def recurrent(call: Call) -> list[Shape]:
    """All states [T, R, B, H], the last [R, B, H] and, of an LSTM, its last cell [R, B, H]."""
    gates = GATES[call.node.operator]
    given, weights, again = (call.shape(index) for index in range(3))
    if len(given) != 3 or len(weights) != 3 or len(again) != 3:
        raise Refused("its input and weights do not have three dimensions each")
    directions, rows, size = weights[0], given[1], again[2]
    if (weights, again) != ((directions, gates * size, given[2]), (directions, gates * size, size)):
        raise Refused(f"weights of shapes {list(weights)} and {list(again)} do not fit {list(given)}")
    both = call.attribute("direction", b"forward") == b"bidirectional"
    if directions != 1 + both or call.attribute("hidden_size", size) != size:
        raise Refused(f"its weights are of {directions} directions and {size} numbers, and it says otherwise")
    if call.attribute("layout", 0) or call.given(_LENGTHS) or "activations" in call.node.attributes:
        raise Refused("it has another layout, rows of different lengths, or functions of its own")
    last = (directions, rows, size)
    for place, shape in {3: (directions, 2 * gates * size), 5: last, 6: last}.items():
        if call.given(place) and call.shape(place) != shape:
            raise Refused(f"its input {place} has shape {list(call.shape(place))}, not {list(shape)}")
    if call.arity > (7 if gates == 4 else 6):
        raise Refused("its gates look at the cell")
    return [(given[0], *last), *([last] * (1 if gates == 3 else 2))]


def recurrent_work(call: Call) -> int:
    """Multiplications."""
    return size_of(call.shape(0)[:2]) * (size_of(call.shape(1)) + size_of(call.shape(2)))
