"""The embedded Reber grammar: predict which symbols may come next.

A string is B, then T or P, then a string of the Reber grammar, then the T or P from before, then E. At every
symbol the next one is to be predicted; all but one are easy, the last but one asks what stood at the second
place. Strings have many lengths; no string is used that takes more than T time steps, one less than it has
symbols.

As published, a fixed set of strings trains and a disjoint one tests. Solved: at every symbol of every test
string, those symbols that may come next have larger outputs than all others. One who knows the grammar but
forgets the second symbol is wrong at half of the strings.

References:
    A. Cleeremans, D. Servan-Schreiber & J. L. McClelland, *Finite State Automata and Simple Recurrent
        Networks* (1989).
    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory* (1997), experiment 1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model, Tape
from rnnlab.tasks.base import Goal, NamedTask, ValidationSize
from rnnlab.tasks.scores import ERROR_RATE

SYMBOLS = "BTPSXVE"
# Of each state of the Reber grammar, the symbols that may come and the state that follows; None: the end.
GRAMMAR: tuple[dict[str, int | None], ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": None},
)
STRINGS_SEED = 1989
MAX_FAILED_DRAWS = 5000
"""Draws without a new string after which a length is taken to have no more."""


@dataclass(frozen=True)
class EmbeddedReber(NamedTask):
    """Strings of the embedded Reber grammar.

    Attributes:
        seq_len: T, the most time steps of a string.
        batch_size: Strings of a training batch.
        train_examples: Different strings to train on.
        validation_examples: Different strings to test on, none of them trained on.
    """

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    train_examples: Annotated[int, Ge(1), Le(100_000)]
    validation_examples: Annotated[int, Ge(1), Le(100_000)]

    def __post_init__(self) -> None:
        wanted = self.train_examples + self.validation_examples
        if (found := len(self._strings)) < wanted:
            raise ValueError(
                f"seq_len={self.seq_len}: found only {found} different strings of at most {self.seq_len + 1} "
                f"symbols, and train_examples + validation_examples is {wanted}; raise seq_len"
            )

    @property
    def time(self) -> int:
        """Time steps of the longest string that may be."""
        return self.seq_len

    @property
    def input_names(self) -> Sequence[str]:
        """B, T, P, S, X, V, E."""
        return SYMBOLS

    @property
    def output_names(self) -> Sequence[str]:
        """B, T, P, S, X, V, E."""
        return SYMBOLS

    @property
    def lag(self) -> int:
        """From the last symbol but one back to the second, in the longest test string."""
        return max(len(string) for string in self._test_strings) - 4

    @property
    def mean_square(self) -> None:
        """Targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Share of strings with a wrong prediction: none."""
        return Goal(ERROR_RATE, 0.5, ERROR_RATE, 1 / self.validation_examples)

    @property
    def dataset(self) -> dict[str, str]:
        """Its strings are drawn from a seed."""
        return {"name": "EmbeddedReber", "digest": "drawn", "source": "drawn from a seed"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Some of the training strings."""
        drawn = rng.integers(0, self.train_examples, self.batch_size)
        return _as_batch([self._strings[index] for index in drawn])

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Of the test strings that take at most `length` time steps the longest, and some others."""
        fitting = [string for string in self._test_strings if len(string) - 1 <= length]
        if length > self.seq_len or not fitting:
            shortest = min(len(string) for string in self._test_strings) - 1
            raise ValueError(f"the strings take {shortest} to {self.seq_len} time steps")
        others = [fitting[index] for index in rng.integers(0, len(fitting), examples - 1)]
        return _as_batch([max(fitting, key=len), *others], length)

    def validation(self) -> Iterator[Batch]:
        """All test strings."""
        yield _as_batch(self._test_strings)

    @property
    def validation_size(self) -> ValidationSize:
        """All test strings, in one batch."""
        longest = max(len(string) for string in self._test_strings)
        return ValidationSize(0, self.validation_examples, longest - 1)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/error_rate`: the share of strings with a wrong prediction."""
        outputs = tape.outputs.reshape(-1, *tape.losses.shape)
        wrong = [
            any(
                not outputs[allowed, t, b].min() > np.delete(outputs[:, t, b], allowed).max()
                for t, allowed in enumerate(_allowed(string))
            )
            for b, string in enumerate(_strings_of(batch))
        ]
        return {ERROR_RATE: np.array(wrong)}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Nothing to show."""
        return {}

    @property
    def _test_strings(self) -> list[str]:
        return self._strings[self.train_examples :]

    @cached_property
    def _strings(self) -> list[str]:
        """Different strings, first those to train on."""
        rng = np.random.default_rng(STRINGS_SEED)
        wanted = self.train_examples + self.validation_examples
        found: dict[str, None] = {}
        in_vain = 0
        while len(found) < wanted and in_vain < MAX_FAILED_DRAWS:
            string = draw_string(rng)
            is_new = len(string) <= self.seq_len + 1 and string not in found
            in_vain = 0 if is_new else in_vain + 1
            if is_new:
                found[string] = None
        # The commonest were found first: mixed, so that both parts have their share.
        strings = list(found)
        return [strings[index] for index in rng.permutation(len(strings))]


def draw_string(rng: np.random.Generator) -> str:
    """A string of the embedded grammar, every choice with the same chance."""
    inner, state = "", 0
    following: int | None = 0
    while following is not None:
        state = following
        symbols = list(GRAMMAR[state])
        symbol = symbols[int(rng.integers(len(symbols)))]
        inner += symbol
        following = GRAMMAR[state][symbol]
    branch = "TP"[int(rng.integers(2))]
    return f"B{branch}{inner}{branch}E"


def _allowed(string: str) -> list[list[int]]:
    """After each symbol but the last, which symbols may come next."""
    allowed = ["TP", "B"]
    state: int | None = 0
    for symbol in string[2:-2]:
        assert state is not None
        state = GRAMMAR[state][symbol]
        allowed.append(string[1] if state is None else "".join(GRAMMAR[state]))
    return [[SYMBOLS.index(symbol) for symbol in symbols] for symbols in [*allowed, "E"]]


def _as_batch(strings: list[str], time: int | None = None) -> Batch:
    """Strings with the next symbols as targets; what follows a string's end does not count."""
    longest = max(len(string) for string in strings)
    time = time or longest - 1
    symbols = np.full((time + 1, len(strings)), SYMBOLS.index("E"))
    for column, string in enumerate(strings):
        symbols[: len(string), column] = [SYMBOLS.index(symbol) for symbol in string]
    ends = np.array([len(string) - 1 for string in strings])
    return Batch(symbols[:-1], symbols[1:].copy(), np.arange(time)[:, None] < ends)


def _strings_of(batch: Batch) -> list[str]:
    assert batch.mask is not None
    ends = batch.mask.sum(axis=0)
    symbols = np.concatenate([batch.x, batch.y[-1:]])
    return [
        "".join(SYMBOLS[s] for s in symbols[: end + 1, column]) for column, end in enumerate(ends.tolist())
    ]
