"""The embedded Reber grammar: predict which symbols the grammar allows next.

Each string consists of B, then T or P, then a string of the Reber grammar, then the same symbol (T or P)
again, and finally E. The target at every time step is the next symbol. Only one prediction requires long-term
memory: that of the second-to-last symbol, which repeats the second symbol. Strings differ in length. A string
of n symbols corresponds to n - 1 time steps, and only strings of at most T time steps are used.

As in the papers listed below, training uses a fixed set of strings, and validation uses a disjoint set. The
task is solved when, at every time step of every validation string, each symbol that the grammar allows next
has a larger output than every symbol that it does not allow. The baseline follows the grammar but does not
remember the second symbol, and therefore makes a wrong prediction in half of the strings.

References:
    Cleeremans, Servan-Schreiber & McClelland, *Finite State Automata and Simple Recurrent Networks* (1989).
    Hochreiter & Schmidhuber, *Long Short-Term Memory* (1997), experiment 1.
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
# For each state of the Reber grammar: the next state after each allowed symbol; None ends the string.
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
"""Number of consecutive draws without a new string after which no further strings are drawn."""


@dataclass(frozen=True)
class EmbeddedReber(NamedTask):
    """Strings of the embedded Reber grammar.

    Attributes:
        seq_len: Maximum number of time steps per string, T.
        batch_size: Number of strings per training batch.
        train_examples: Number of different training strings.
        validation_examples: Number of different validation strings, none of which is a training string.
    """

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    train_examples: Annotated[int, Ge(1), Le(100_000)]
    validation_examples: Annotated[int, Ge(1), Le(100_000)]

    def __post_init__(self) -> None:
        required = self.train_examples + self.validation_examples
        if (count := len(self._strings)) < required:
            raise ValueError(
                f"seq_len={self.seq_len}: found only {count} different strings of at most {self.seq_len + 1} "
                f"symbols, but train_examples + validation_examples is {required}; raise seq_len"
            )

    @property
    def time(self) -> int:
        """Maximum number of time steps per string, T."""
        return self.seq_len

    @property
    def input_names(self) -> Sequence[str]:
        """The symbols B, T, P, S, X, V, E."""
        return SYMBOLS

    @property
    def output_names(self) -> Sequence[str]:
        """The symbols B, T, P, S, X, V, E."""
        return SYMBOLS

    @property
    def lag(self) -> int:
        """Lag from the prediction of the repeated T or P to the second symbol, in the longest string."""
        return max(len(string) for string in self._validation_strings) - 4

    @property
    def mean_square(self) -> None:
        """Mean square of the targets: None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return the success criterion: no validation string with a wrong prediction."""
        return Goal(ERROR_RATE, 0.5, ERROR_RATE, 1 / self.validation_examples)

    @property
    def dataset(self) -> dict[str, str]:
        """Description of the data: strings drawn at random with a fixed seed."""
        return {"name": "EmbeddedReber", "digest": "drawn", "source": "drawn from a seed"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return a batch of randomly chosen training strings."""
        drawn = rng.integers(0, self.train_examples, self.batch_size)
        return _as_batch([self._strings[index] for index in drawn])

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return validation strings of at most `length` time steps: the longest and randomly chosen ones."""
        fitting = [string for string in self._validation_strings if len(string) - 1 <= length]
        if length > self.seq_len or not fitting:
            shortest = min(len(string) for string in self._validation_strings) - 1
            raise ValueError(f"must be between {shortest} (shortest string) and {self.seq_len} (seq_len)")
        others = [fitting[index] for index in rng.integers(0, len(fitting), examples - 1)]
        return _as_batch([max(fitting, key=len), *others], length)

    def validation(self) -> Iterator[Batch]:
        """Yield all validation strings in one batch."""
        yield _as_batch(self._validation_strings)

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the validation set, which consists of a single batch."""
        longest = max(len(string) for string in self._validation_strings)
        return ValidationSize(0, self.validation_examples, longest - 1)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return the values of `val/error_rate`: True for each string with a wrong prediction."""
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
        """Return an empty dictionary: this task generates no text."""
        return {}

    @property
    def _validation_strings(self) -> list[str]:
        return self._strings[self.train_examples :]

    @cached_property
    def _strings(self) -> list[str]:
        """All strings, without duplicates: first the training strings, then the validation strings."""
        rng = np.random.default_rng(STRINGS_SEED)
        required = self.train_examples + self.validation_examples
        strings: dict[str, None] = {}
        failed_draws = 0
        while len(strings) < required and failed_draws < MAX_FAILED_DRAWS:
            string = draw_string(rng)
            is_new = len(string) <= self.seq_len + 1 and string not in strings
            failed_draws = 0 if is_new else failed_draws + 1
            if is_new:
                strings[string] = None
        # Shuffle, because the most probable strings are drawn first and must occur in both sets.
        in_draw_order = list(strings)
        return [in_draw_order[index] for index in rng.permutation(len(in_draw_order))]


def draw_string(rng: np.random.Generator) -> str:
    """Draw a string of the embedded grammar; at each position, all allowed symbols are equally probable."""
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
    """Return the indices of the symbols allowed after each symbol except the last."""
    allowed = ["TP", "B"]
    state: int | None = 0
    for symbol in string[2:-2]:
        assert state is not None
        state = GRAMMAR[state][symbol]
        allowed.append(string[1] if state is None else "".join(GRAMMAR[state]))
    return [[SYMBOLS.index(symbol) for symbol in symbols] for symbols in [*allowed, "E"]]


def _as_batch(strings: list[str], time: int | None = None) -> Batch:
    """Return a batch with the next symbols as targets and a mask that excludes padding after each string."""
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
