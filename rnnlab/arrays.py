"""Type aliases for arrays and parameters, and a function that copies parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Params = dict[str, Array]


def copy_params(params: Mapping[str, Array], dtype: DTypeLike | None = None) -> Params:
    """Return copies of all parameters, converted to `dtype` if given."""
    return {name: np.array(a, dtype=dtype) for name, a in params.items()}
