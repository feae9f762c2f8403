"""Restoration of a training state from a file, with consistency checks against the run's initial state.

The file may be damaged or may have been written by different code or with a different configuration. A state
that the run cannot reach is rejected as a whole.
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
    """Error for a training state that the run cannot reach; the message names the invalid entry."""


@dataclass(frozen=True)
class Limits:
    """Constraints on a training state beyond those implied by the initial state.

    Attributes:
        steps: Number of parameter updates in the entire run.
        carried: Example of the hidden states, with the required names, shapes and data types.
        keeps_gradients: True if the state contains the gradients of the last training step.
        non_negative: Names of the optimiser variables that are never negative.
        counters: Names of the optimiser variables that count updates.
        clips: True if gradient clipping is enabled.
        solves: True if training may continue after the task is solved.
    """

    steps: int
    carried: Mapping[str, Array]
    keeps_gradients: bool
    non_negative: tuple[str, ...]
    counters: tuple[str, ...]
    clips: bool
    solves: bool


def restore(
    arrays: Mapping[str, Array], plain: Mapping[str, Any], initial: TrainingState, limits: Limits
) -> TrainingState:
    """Return the training state reconstructed from the output of `TrainingState.to_parts`.

    Args:
        arrays: Arrays of the training state, with keys of the form `part/name`.
        plain: Entries of the training state that are not arrays.
        initial: Training state before the first step.
        limits: Constraints that are not implied by the state before the first step.

    Raises:
        ImpossibleState: If the run cannot reach the training state at any step.
    """
    _require_names("state", plain, initial.to_parts()[1])
    _require(plain["engine"] == initial.engine, "engine")
    step = _require_integer("step", plain["step"], 1, limits.steps - 1)
    like = {"params": initial.params, "optimizer": initial.optimizer, "carried": limits.carried}
    like["gradients"] = initial.params if limits.keeps_gradients else {}
    templates = {f"{part}/{name}": array for part in like for name, array in like[part].items()}
    _require_names("arrays", arrays, templates)
    for name, template in templates.items():
        _require(arrays[name].dtype == template.dtype and arrays[name].shape == template.shape, name)
    parts = {part: {name: arrays[f"{part}/{name}"] for name in like[part]} for part in like}
    for part in ("carried", "gradients"):  # a run with non-finite values would have ended
        for name, array in parts[part].items():
            _require(bool(np.isfinite(array).all()), f"{part}/{name}")
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
        gradients=parts["gradients"] or None,
        engine=initial.engine,
        step=step,
        clipped=_require_integer("clipped", plain["clipped"], 0, step if limits.clips else 0),
        solved=bool(_require_integer("solved", plain["solved"], 0, int(limits.solves), bool)),
    )


def _spikes(state: Any, initial: Spikes, step: int) -> Spikes:
    _require_names("spikes", state, asdict(initial))
    seen = _require_integer("spikes.seen", state["seen"], 0, 0 if initial.factor is None else step)
    rest = _require_integer("spikes.rest", state["rest"], -seen, SPIKE_WINDOW if seen else 0)
    mean_log = state["mean_log"]
    _require(_is_finite(mean_log) and abs(mean_log) <= (2 * MAX_LOG if seen else 0), "spikes.mean_log")
    _require(mean_log <= MAX_LOG, "spikes.mean_log")
    _require(state["factor"] == initial.factor, "spikes.factor")
    return Spikes(initial.factor, mean_log, seen, rest)


def _stability(state: Any, initial: Stability, step: int) -> Stability:
    _require_names("stability", state, asdict(initial))
    _require((state["window"], state["factor"]) == (initial.window, initial.factor), "stability.window")
    since, recent = state["since"], state["recent"]
    if since is not None:
        _require_integer("stability.since", since, initial.window - 1, step - 1)
    _require(isinstance(recent, list) and len(recent) == min(initial.window, step), "stability.recent")
    _require(all(map(_is_finite, recent)), "stability.recent")
    return Stability(initial.window, initial.factor, since, recent)


def _generator(name: str, state: Any, initial: np.random.Generator) -> np.random.Generator:
    """Restore a random number generator; its type and stream must match those of the initial generator."""
    first = initial.bit_generator.state
    bits = type(initial.bit_generator)()
    try:
        bits.state = state
    except Exception:  # NumPy may raise any exception for an invalid state
        raise ImpossibleState(f"{name}: not a state of a {first['bit_generator']} generator") from None
    _require(bits.state == state and state.get("has_uint32", 0) in (0, 1), name)  # NumPy may coerce values
    _require(bits.state["state"].get("inc") == first["state"].get("inc"), f"{name}.state.inc")
    return np.random.Generator(bits)


def _require_names(part: str, stored: Any, expected: Mapping[str, Any]) -> None:
    _require(isinstance(stored, Mapping), part)
    if wrong := sorted(set(stored) ^ set(expected)):
        raise ImpossibleState(f"{part}.{wrong[0]}: {'unexpected' if wrong[0] in stored else 'missing'}")


def _require_integer(name: str, value: Any, least: int, most: int, kind: type = int) -> int:
    _require(type(value) is kind, name)
    number = int(value)
    _require(least <= number <= most, name)
    return number


def _is_finite(value: Any) -> bool:
    return type(value) is float and isfinite(value)


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise ImpossibleState(f"{name}: impossible in this run")
