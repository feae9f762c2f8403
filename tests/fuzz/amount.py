"""Number of fuzzing examples: few and fixed in a normal test run, many and random with `make fuzz`."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings

TIMES = int(os.environ.get("RNNLAB_FUZZ", "0"))
"""Factor on the number of examples with `make fuzz`; 0 in a normal test run."""
tried: Counter[str] = Counter()
"""Counts of the outcomes of all examples, printed at the end of `make fuzz`."""


def examples(number: int) -> Callable[[Any], Any]:
    """Return the Hypothesis settings for a number of examples."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    # Shrinking takes minutes, so only `make fuzz` does it.
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
