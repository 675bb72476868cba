"""When the garbage collector looks, and at what: not again and again at a whole cluster, which is no garbage.

Records die by their reference counts. Left to its defaults, the collector would walk through all of them time and
again and find nothing: measured with 150,000 pods, a quarter of the time of the first lists and a tenth of a core later.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 20)
"""New containers before the youngest are looked at (Python's default is 700: a page of pods), and so on by generation.
Garbage in cycles, which is all that has to wait for it, is some megabytes at most by then."""


def look_seldom() -> None:
    """Call before the informers list: nearly everything they make stays."""
    gc.set_threshold(*THRESHOLDS)


def spare_what_is_here() -> None:
    """Call when the informers are synced: collect once, and never look at what is left again.

    It is still freed as soon as nothing refers to it. What comes later is looked at as ever.
    """
    gc.collect()
    gc.freeze()
