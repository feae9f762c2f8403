"""Selection of test cases for `make test`; the others are run by `make test-thorough`."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest


def thorough(*values: Any) -> Any:
    """Return a test case for `make test-thorough` alone."""
    return pytest.param(*values, marks=pytest.mark.thorough)


def covering(*choices: Sequence[Any]) -> list[Any]:
    """Return all combinations of choices; those that no pair of choices needs are thorough.

    The numbers of the selected choices add up to a multiple of the largest number of choices, as in a Latin
    square, so each pair of choices from two of three equally long sequences is selected once.
    """
    size = max(map(len, choices))
    cases = []
    for numbers in product(*(range(len(values)) for values in choices)):
        values = [values[number] for number, values in zip(numbers, choices, strict=True)]
        cases.append(pytest.param(*values) if sum(numbers) % size == 0 else thorough(*values))
    return cases
