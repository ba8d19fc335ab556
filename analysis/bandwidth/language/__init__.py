"""What the agents tell each other, read out of a recorded trace.

`read_language` (reading.py) does all of it: what each categorical tells about named features of what its sender sees
and of the world's state (features.py, meaning.py), which categoricals change what receivers do (influence.py), what
agents say twice (redundancy.py), and whether similar observations are spoken of in similar words (topography.py).
`draw_language` (plot.py) puts it on a page.
"""

from analysis.bandwidth.language.reading import Language, read_language

__all__ = ["Language", "read_language"]
