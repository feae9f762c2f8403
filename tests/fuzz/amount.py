"""How much is tried: little in every run of the tests, the same each time; much with `make fuzz`, anew."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

TIMES = int(os.environ.get("RNNLAB_FUZZ", "0"))
"""With `make fuzz`, how many times the examples of a run of the tests."""
tried: Counter[str] = Counter()
"""What came of the examples, told at the end of `make fuzz`."""


def examples(number: int) -> Callable[[Any], Any]:
    """Settings of a test that tries so many examples."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    # To look for the smallest example takes minutes, and is for whoever mends what was found.
    phases = [phase for phase in Phase if TIMES or phase is not Phase.shrink]
    return settings(
        max_examples=number * max(TIMES, 1),
        derandomize=not TIMES,
        suppress_health_check=slow,
        phases=phases,
        print_blob=bool(TIMES),
        deadline=None,
        database=None,
    )
