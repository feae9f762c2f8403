"""Named tensors of a file or a model, whose values are read only when they are needed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.text import sanitize

FLOATS = {"float32", "float64"}
HALVES = {"float16", "bfloat16"}
"""Types that are converted to float32."""
MAX_NAME, MAX_LISTED = 80, 8


@dataclass(frozen=True)
class Tensor:
    """A tensor whose values have not been read yet.

    Attributes:
        shape: Shape, as stated by the file.
        dtype: Data type, such as `float32`.
        read: Function that returns the values; those of a `bfloat16` tensor are returned as float32.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]

    @classmethod
    def of(cls, values: Any) -> "Tensor":
        """Return a tensor with the values of an array."""
        a = np.asarray(values)
        return cls(a.shape, str(a.dtype), lambda: a)


@dataclass
class Source:
    """Tensors by name.

    Attributes:
        tensors: The tensors.
        facts: For the prefix of a recurrent module, values of `Choices` that the file itself states.
        converted: Names of the tensors in half precision that were converted to float32.
        used: Names of the tensors whose values were read.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    converted: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def shape(self, name: str, dimensions: int) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Raises:
            ValueError: If the tensor is missing, or does not have the expected number of dimensions.
        """
        if name not in self.tensors:
            raise ValueError(f"{short(name)}: missing")
        shape = self.tensors[name].shape
        if len(shape) != dimensions or 0 in shape:
            raise ValueError(
                f"{short(name)}: has the shape {shape}; must have {dimensions} dimensions, none empty"
            )
        return shape

    def array(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return a copy of the values of a tensor, in float32 or float64.

        Raises:
            ValueError: If the tensor is missing, has another shape or type, or is not finite.
        """
        found = self.shape(name, len(shape))
        if found != shape:
            raise ValueError(f"{short(name)}: has the shape {found}; must be {shape}")
        tensor = self.tensors[name]
        self.used.add(name)
        if tensor.dtype not in FLOATS | HALVES:
            allowed = "float32, float64, float16 or bfloat16"
            raise ValueError(f"{short(name)}: has the data type {short(tensor.dtype)}; must be {allowed}")
        try:
            values = np.asarray(tensor.read())
            if tensor.dtype in HALVES:
                self.converted.append(name)
                values = values.astype(np.float32)
        except ValueError:
            raise
        except Exception as error:  # a tensor of a framework may raise anything
            raise ValueError(f"{short(name)}: cannot be read ({short(error)})") from None
        if values.shape != shape or str(values.dtype) not in FLOATS:
            raise ValueError(
                f"{short(name)}: contains {values.dtype} of shape {values.shape}; must be {shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"{short(name)}: contains NaN or infinity; must be finite")
        return np.array(values, order="C")

    def refuse_others(self, names: Iterable[str], expected: Iterable[str]) -> None:
        """Raise ValueError if a tensor of a recurrent module is none of the expected ones."""
        if extra := sorted(set(names).difference(expected)):
            raise ValueError(f"{listed(extra)}: unexpected beside the weights {listed(sorted(expected))}")


def short(text: object, limit: int = MAX_NAME) -> str:
    """Return a text from a file in one line of limited length, without control characters."""
    line = " ".join(sanitize(str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Return names as one line of limited length.

    >>> listed(["a", "b"])
    'a, b'
    """
    every = list(names)
    more = f" and {len(every) - MAX_LISTED} more" if len(every) > MAX_LISTED else ""
    return ", ".join(short(name) or "''" for name in every[:MAX_LISTED]) + more


def children(names: Iterable[str], prefix: str, separator: str) -> list[str]:
    """Return the names that directly follow a prefix, without the prefix.

    >>> children(["a/b", "a/c/d", "e"], "a", "/"), children(["a/b", "e"], "", "/")
    (['b'], ['e'])
    """
    start = prefix + separator if prefix else ""
    rest = [name[len(start) :] for name in names if name.startswith(start)]
    return [name for name in rest if separator not in name]
