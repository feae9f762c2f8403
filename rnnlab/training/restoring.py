"""A training state out of a file, held against the one that training would begin with.

A file may hold anything: it may be damaged, or come from other code or another configuration. What cannot be
a state of this training is refused as a whole.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite, log
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics import Spikes
from rnnlab.diagnostics.schedule import SPIKE_WINDOW
from rnnlab.training.state import Stability, TrainingState

MAX_LOG = log(sys.float_info.max)


class ImpossibleState(ValueError):
    """What training cannot have come to; the message names it."""


@dataclass(frozen=True)
class Limits:
    """What a state may be, beside what follows from the one at the beginning.

    Attributes:
        steps: Updates of the whole run.
        carried: Final states of a batch, any, whose names, shapes and types are right.
        non_negative: The optimiser's states that are.
        counters: The optimiser's states that count updates.
        clips: Whether a gradient may be clipped.
        solves: Whether training may go on with the task solved.
    """

    steps: int
    carried: Mapping[str, Array]
    non_negative: tuple[str, ...]
    counters: tuple[str, ...]
    clips: bool
    solves: bool


def restore(
    arrays: Mapping[str, Array], plain: Mapping[str, Any], initial: TrainingState, limits: Limits
) -> TrainingState:
    """The state that `to_parts` took apart, with everything in the order of the beginning.

    Args:
        arrays: The arrays by `part/name`.
        plain: The rest.
        initial: The state before the first step.
        limits: What else a state may be.

    Raises:
        ImpossibleState: There is no such state after some step of this training.
    """
    _same_names("state", plain, initial.to_parts()[1])
    step = _whole("step", plain["step"], 1, limits.steps)
    like = {"params": initial.params, "optimizer": initial.optimizer, "carried": limits.carried}
    templates = {f"{part}/{name}": array for part in like for name, array in like[part].items()}
    _same_names("arrays", arrays, templates)
    for name, template in templates.items():
        _require(arrays[name].dtype == template.dtype and arrays[name].shape == template.shape, name)
    parts = {part: {name: arrays[f"{part}/{name}"] for name in like[part]} for part in like}
    for name, array in parts["carried"].items():  # else the run would have diverged
        _require(bool(np.isfinite(array).all()), f"carried/{name}")
    for name, array in parts["optimizer"].items():
        _require(name not in limits.counters or bool((array == step).all()), f"optimizer/{name}")
        _require(name not in limits.non_negative or not (array < 0).any(), f"optimizer/{name}")
    return TrainingState(
        params=parts["params"],
        optimizer=parts["optimizer"],
        batches=_generator("batches", plain["batches"], initial.batches),
        starts=_generator("starts", plain["starts"], initial.starts),
        spikes=_spikes(plain["spikes"], initial.spikes, step),
        stability=_stability(plain["stability"], initial.stability, step),
        carried=parts["carried"],
        step=step,
        clipped=_whole("clipped", plain["clipped"], 0, step if limits.clips else 0),
        solved=bool(_whole("solved", plain["solved"], 0, int(limits.solves), bool)),
    )


def _spikes(state: Any, initial: Spikes, step: int) -> Spikes:
    _same_names("spikes", state, asdict(initial))
    seen = _whole("spikes.seen", state["seen"], 0, 0 if initial.factor is None else step)
    rest = _whole("spikes.rest", state["rest"], -seen, SPIKE_WINDOW if seen else 0)
    mean_log = state["mean_log"]
    _require(_is_finite(mean_log) and abs(mean_log) <= (2 * MAX_LOG if seen else 0), "spikes.mean_log")
    _require(mean_log <= MAX_LOG, "spikes.mean_log")
    _require(state["factor"] == initial.factor, "spikes.factor")
    return Spikes(initial.factor, mean_log, seen, rest)


def _stability(state: Any, initial: Stability, step: int) -> Stability:
    _same_names("stability", state, asdict(initial))
    _require((state["window"], state["factor"]) == (initial.window, initial.factor), "stability.window")
    since, recent = state["since"], state["recent"]
    if since is not None:
        _whole("stability.since", since, initial.window - 1, step - 1)
    _require(isinstance(recent, list) and len(recent) == min(initial.window, step), "stability.recent")
    _require(all(map(_is_finite, recent)), "stability.recent")
    return Stability(initial.window, initial.factor, since, recent)


def _generator(name: str, state: Any, initial: np.random.Generator) -> np.random.Generator:
    """A generator of the kind of that at the beginning and, where its state says so, of the same stream."""
    first = initial.bit_generator.state
    bits = type(initial.bit_generator)()
    try:
        bits.state = state
    except Exception:  # whatever NumPy raises over what is no state
        raise ImpossibleState(f"{name} is no state of a {first['bit_generator']} generator") from None
    _require(bits.state == state and state.get("has_uint32", 0) in (0, 1), name)  # else NumPy made more of it
    _require(bits.state["state"].get("inc") == first["state"].get("inc"), f"{name}: the stream")
    return np.random.Generator(bits)


def _same_names(what: str, kept: Any, expected: Mapping[str, Any]) -> None:
    _require(isinstance(kept, Mapping), what)
    if wrong := sorted(set(kept) ^ set(expected)):
        raise ImpossibleState(f"{what}: {wrong[0]} is {'not expected' if wrong[0] in kept else 'missing'}")


def _whole(name: str, value: Any, least: int, most: int, kind: type = int) -> int:
    _require(type(value) is kind, name)
    number = int(value)
    _require(least <= number <= most, name)
    return number


def _is_finite(value: Any) -> bool:
    return type(value) is float and isfinite(value)


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ImpossibleState(f"{name} cannot be that of this run")
