"""Requirements of a measurement beyond a snapshot of the training step.

@requires(memory=bytes_of_example, targets="targets", previous=True)
def measure_example(snapshot: Snapshot, *, targets: tuple[int, ...]) -> Readings: ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rnnlab.cells import Cell

Function = TypeVar("Function", bound=Callable[..., Any])
_ATTRIBUTE = "requirements"


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run from which a measurement computes the memory that it needs.

    Attributes:
        cell: Cell of the network.
        examples: Number of sequences in the probe batch.
        forward: Bytes of a forward pass, given the number of sequences and the number of time steps.
    """

    cell: Cell
    examples: int
    forward: Callable[[int, int], int]


@dataclass(frozen=True)
class Requirements:
    """Requirements of a measurement.

    Attributes:
        memory: Function that returns the bytes needed in addition to both passes over the probe batch, given
            the sizes of the run and the options of the measurement; None for no additional memory.
        targets: Name of the option that lists time steps at which the probe batch must have a target; None if
            there is no such option.
        previous: True if the measurement reads `Snapshot.previous`.
    """

    memory: Callable[..., int] | None = None
    targets: str | None = None
    previous: bool = False


def requires(
    memory: Callable[..., int] | None = None, targets: str | None = None, previous: bool = False
) -> Callable[[Function], Function]:
    """Return a decorator that declares the requirements of a measurement; see `Requirements`."""

    def declare(function: Function) -> Function:
        vars(function)[_ATTRIBUTE] = Requirements(memory, targets, previous)
        return function

    return declare


def requirements_of(measure: Callable[..., Any]) -> tuple[Requirements, dict[str, Any]]:
    """Return the requirements of a measurement, and its options."""
    function, options = getattr(measure, "func", measure), getattr(measure, "keywords", {})
    return getattr(function, _ATTRIBUTE, Requirements()), options
