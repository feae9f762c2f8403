"""Array types and copies of named parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def copy_params(params: Mapping[str, Array], dtype: DTypeLike | None = None) -> Params:
    """Return a copy of every array, converted to `dtype` if given."""
    return {name: np.array(a, dtype=dtype) for name, a in params.items()}
