"""Character-level language modelling: predict the next character of a text.

The final part of the text (a fraction `held_out`) is used for validation, and the preceding part for
training. The training part is split into `batch_size` parallel streams, one per column of a batch. Each
training step reads the next chunk of `seq_len` characters from every stream.

With `carry`, the final state of a chunk is the initial state of the next chunk, but no gradient flows between
chunks (truncated BPTT). After the last chunk, training restarts from the beginning of the streams and from
the initial state. Without `carry`, every chunk starts from the initial state.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from math import log
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, MinLen

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model, Tape
from rnnlab.records import VAL_LOSS
from rnnlab.tasks.base import Goal, NamedTask, ValidationSize
from rnnlab.tasks.encodings import UTF8_MARK, encoding_problem
from rnnlab.user_files import UnreadableFile, convert_read_errors, user_file

BPC = "val/bpc"
BLOCK = 1_000_000
"""Maximum number of characters per processing block, to limit memory use."""
VALIDATION_CHUNK = 256
"""Maximum number of time steps in a validation batch with `carry`, to limit memory use."""
VALIDATION_STREAM = 2048
"""Minimum length of a parallel stream in the held-out part.

Each stream starts from the initial state, without context. With streams of only 256 characters, the missing
context increases the validation loss of the default LSTM by 0.02 bits per character.
"""
VALIDATION_STREAMS = 256
"""Maximum number of parallel streams in the held-out part."""
VALIDATION_WINDOWS = 4096
"""Maximum number of validation windows if each window has only one target."""


@dataclass(frozen=True)
class CharLM(NamedTask):
    """Character-level language modelling of a text file or, with `path=None`, of Shakespeare's Sonnets."""

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    path: Annotated[str, MinLen(1)] | None
    carry: bool
    targets: Literal["every", "last"]
    held_out: Annotated[float, Gt(0), Lt(1)]
    sample_length: Annotated[int, Ge(0), Le(1_000_000)]
    temperature: Annotated[float, Gt(0)]

    def __post_init__(self) -> None:
        train, held_out = self._parts
        if len(train) // self.batch_size <= self.seq_len:
            raise ValueError(
                f"seq_len={self.seq_len} batch_size={self.batch_size}: the text is too short; each stream "
                f"has {len(train) // self.batch_size} training characters ({len(train)} / {self.batch_size}) "
                f"and needs at least {self.seq_len + 1}"
            )
        if len(held_out) <= self.seq_len:
            raise ValueError(
                f"seq_len={self.seq_len}: the held-out part is too short; it has {len(held_out)} characters "
                f"and needs at least {self.seq_len + 1}; raise task.held_out above {self.held_out}"
            )

    @cached_property
    def text(self) -> str:
        """The complete text."""
        return _read(self.path)

    @cached_property
    def symbols(self) -> str:
        """The sorted distinct characters of the text; a symbol is an index into this string."""
        return self._coded[0]

    @property
    def time(self) -> int:
        """Number of time steps in a chunk, T."""
        return self.seq_len

    @property
    def input_names(self) -> str:
        """The distinct characters of the text."""
        return self.symbols

    @property
    def output_names(self) -> str:
        """The distinct characters of the text."""
        return self.symbols

    @property
    def lag(self) -> None:
        """Always None, because a text has no single lag."""
        return None

    @property
    def mean_square(self) -> None:
        """Always None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return bits per character as the metric.

        The baseline always predicts the character frequencies of the training part.
        """
        if loss != "cross_entropy":
            return Goal(VAL_LOSS, self.chance(loss))
        train, held_out = self._parts
        counts = np.ones(len(self.symbols), int)  # add-one smoothing: no character has probability 0
        for start in range(0, len(train), BLOCK):
            counts += np.bincount(train[start : start + BLOCK], minlength=len(counts))
        return Goal(BPC, float(-np.log2(counts / counts.sum())[held_out].mean()))

    @cached_property
    def dataset(self) -> dict[str, str]:
        """Name, digest (SHA-256, first 16 hex digits) and source of the text."""
        name = "shakespeare-sonnets" if self.path is None else Path(self.path).name
        source = "Project Gutenberg" if self.path is None else str(self.path)
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16]
        return {"name": name, "digest": digest, "source": source}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return the batch for a training step: one chunk of each stream, in cyclic order."""
        train, _ = self._parts
        length = len(train) // self.batch_size
        streams = train[: length * self.batch_size].reshape(self.batch_size, length)
        chunk = step % ((length - 1) // self.seq_len)
        start = chunk * self.seq_len
        windows = streams[:, start : start + self.seq_len + 1]
        return self._as_batch(windows, continues=self.carry and chunk > 0)

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return windows of `length` characters from random positions in the held-out part."""
        _, held_out = self._parts
        if length >= len(held_out):
            raise ValueError(f"the held-out part has only {len(held_out)} characters; raise task.held_out")
        starts = rng.integers(0, len(held_out) - length, examples)
        return self._as_batch(held_out[starts[:, None] + np.arange(length + 1)])

    def validation(self) -> Iterator[Batch]:
        """Yield the held-out part as batches of the same form as the training batches.

        With `carry`, parallel streams cover the entire held-out part. Every character except the first is
        then a target, and a mask excludes positions after the end of the text. Without `carry`, the
        validation set consists of windows of `seq_len` characters. With `targets=every`, the windows are
        adjacent; with `targets=last`, at most VALIDATION_WINDOWS evenly spaced windows are used.
        """
        return self._streams() if self.carry else self._windows()

    def _streams(self) -> Iterator[Batch]:
        _, held_out = self._parts
        targets = len(held_out) - 1
        streams = _stream_count(targets)
        length = -(-targets // streams)
        index = np.arange(streams)[:, None] * length + np.arange(length + 1)
        present = index[:, 1:] < len(held_out)
        values = held_out[np.minimum(index, targets)]
        for start in range(0, length, VALIDATION_CHUNK):
            stop = min(start + VALIDATION_CHUNK, length)
            yield _next_symbols(values[:, start : stop + 1], present[:, start:stop], continues=start > 0)

    def _windows(self) -> Iterator[Batch]:
        _, held_out = self._parts
        last = len(held_out) - 1 - self.seq_len  # start of the last complete window
        if self.targets == "every":
            starts = np.arange(0, last + 1, self.seq_len)
        else:
            starts = np.unique(np.linspace(0, last, min(last + 1, VALIDATION_WINDOWS)).round().astype(int))
        for group in np.array_split(starts, -(-len(starts) // VALIDATION_STREAMS)):
            yield self._as_batch(held_out[group[:, None] + np.arange(self.seq_len + 1)])

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the largest validation batch.

        With `carry`, a batch contains a block of every stream; without `carry`, a batch contains a group of
        windows.
        """
        targets = len(self._parts[1]) - 1
        if self.carry:
            streams = _stream_count(targets)
            return ValidationSize(0, streams, min(VALIDATION_CHUNK, -(-targets // streams)))
        return ValidationSize(0, min(targets, VALIDATION_STREAMS), self.seq_len)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return `val/bpc`, the number of bits per character: the cross-entropy in nats, divided by ln 2."""
        if loss != "cross_entropy":
            return {}
        return {BPC: tape.losses[tape.weights > 0].astype(np.float64) / log(2)}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return `sample.txt`, a text generated by the network.

        Each character is drawn with a probability proportional to p^(1/temperature) and becomes the next
        input. With the cross-entropy loss, p = softmax(o). With the squared error, the outputs o approximate
        one-hot targets, and p is set to max(o, 0).
        """
        if self.sample_length == 0:
            return {}
        symbol = self.symbols.find("\n") if "\n" in self.symbols else 0
        states, drawn = model.start(params, 1, rng), []
        for _ in range(self.sample_length):
            step = model.cell.step(params, np.array([symbol]), states)
            states, o = step.after, model.readout.outputs_of_step(params, model.cell.output_of(step))[:, 0]
            with np.errstate(divide="ignore"):
                log_p = o if model.loss == "cross_entropy" else np.log(np.maximum(o, 0))
            p = np.exp((log_p - log_p.max()) / self.temperature)
            symbol = int(rng.choice(len(p), p=p / p.sum()))
            drawn.append(self.symbols[symbol])
        return {"sample.txt": "".join(drawn)}

    @cached_property
    def _coded(self) -> tuple[str, Array]:
        """The alphabet, and the text as alphabet indices with the smallest sufficient unsigned dtype."""
        highest = max(int(codes.max()) for codes in _codes(self.text))
        present = np.zeros(highest + 1, bool)
        for codes in _codes(self.text):
            present[codes] = True
        alphabet = np.flatnonzero(present)
        index = (np.cumsum(present) - 1).astype(np.min_scalar_type(len(alphabet)))
        symbols = np.concatenate([index[codes] for codes in _codes(self.text)])
        return "".join(map(chr, alphabet)), symbols

    @cached_property
    def _parts(self) -> tuple[Array, Array]:
        """The training part and the held-out part of the text, as symbol indices."""
        _, symbols = self._coded
        cut = len(symbols) - round(len(symbols) * self.held_out)
        return symbols[:cut], symbols[cut:]

    def _as_batch(self, windows: Array, continues: bool = False) -> Batch:
        """Return a batch for windows of shape (B, T+1), with the targets selected by `targets`."""
        batch = _next_symbols(windows, None, continues)
        return batch if self.targets == "every" else replace(batch, y=batch.y[-1:])


def _stream_count(targets: int) -> int:
    """Return the number of parallel validation streams for a given number of targets."""
    return min(max(targets // VALIDATION_STREAM, 1), VALIDATION_STREAMS)


def _next_symbols(windows: Array, present: Array | None, continues: bool) -> Batch:
    """Return a batch of inputs and next-symbol targets, both of shape (T, B).

    The windows of symbols have the shape (B, T+1).
    """
    x, y = (np.ascontiguousarray(part.T, np.int64) for part in (windows[:, :-1], windows[:, 1:]))
    return Batch(x, y, None if present is None else present.T, continues)


def _read(path: str | None) -> str:
    if path is None:
        return (files("rnnlab.tasks") / "data" / "sonnets.txt").read_text(encoding="utf-8")
    with convert_read_errors(path):
        file = user_file(path)
        data = file.read_bytes()
        if problem := encoding_problem(data, file):
            raise UnreadableFile(f"path={path}: {problem}")
        text = data.removeprefix(UTF8_MARK).decode("utf-8")
        text = text.replace("\r\n", "\n").replace("\r", "\n")  # universal newlines, as in Python's text mode
    if text.count(text[:1]) >= len(text):
        count = min(len(text), 1)
        raise ValueError(f"path={path}: must contain at least two different characters; contains {count}")
    return text


def _codes(text: str) -> Iterator[Array]:
    """Yield the Unicode code points of the text, block by block."""
    for start in range(0, len(text), BLOCK):
        yield np.frombuffer(text[start : start + BLOCK].encode("utf-32-le"), dtype="<u4")
