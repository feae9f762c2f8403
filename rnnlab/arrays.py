"""Arrays, and parameters by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def copy_params(params: Mapping[str, Array], dtype: DTypeLike | None = None) -> Params:
    """Return an independent copy of every array, cast to `dtype` when given."""
    return {name: np.array(a, dtype=dtype) for name, a in params.items()}
