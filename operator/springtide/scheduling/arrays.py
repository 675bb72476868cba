"""Names of the array types that scheduling computes with; the last axis is always the nodes, in index order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
CodeArray = NDArray[np.int32]
