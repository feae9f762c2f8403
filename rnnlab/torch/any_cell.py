"""Lag curves of any cell written in torch."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.library.any_cell import Parts, lag_curve_of, loss_name
from rnnlab.library.curves import LagCurve
from rnnlab.library.frameworks import installed


def lag_curve(
    step: Callable[[Any, Any], Any],
    state: Any,
    x: Any,
    *,
    loss: Callable[[Any], Any] | None = None,
    on: str | None = None,
    batch_axis: int | None = None,
    seed: int = 0,
    name: str = "own cell",
) -> LagCurve:
    """Return the lag curve of a step function, by torch's autograd through one time step at a time.

    The gradient is that of a random unit vector on the final state, as the geometric mean over 32 draws, or
    of a loss of the final state. The quantity `state` is its norm with respect to the whole state s[T-k];
    `state.h` and so on are the norms of the parts of a state that is a dictionary, tuple or list.

    Args:
        step: Function `step(state, x_t)` that returns the next state, in the form of the last one. It is
            called twice for each time step and must return the same state, so it may not contain dropout.
        state: Initial state: a tensor, or a tuple, list or dictionary of tensors, which may be nested.
            Tensors of integers have no gradient.
        x: Inputs; `x[t]` is the input of a time step.
        loss: Function of the final state that returns a scalar; None for the random unit vector.
        on: Name of the part of the state on which the random unit vector acts, such as `h`, or `0` in a
            tuple; None for the whole state.
        batch_axis: Axis of the sequences in each tensor of the state; None if there is one sequence. The loss
            must then be a sum over the sequences.
        seed: Seed of the random unit vectors.
        name: Name of the cell.

    Raises:
        ImportError: If torch is not installed.
        ValueError: If an argument is invalid, or if `step` returns a state of another form.
    """
    torch = installed("torch")
    if len(x) < 2:
        raise ValueError(f"x: must have at least 2 time steps, got {len(x)}")
    states = [_flat(state)]
    with torch.no_grad():
        for t in range(len(x)):
            last = {key: _kept(tensor) for key, tensor in states[-1].items()}
            states.append(
                {key: _kept(tensor) for key, tensor in _flat(step(_like(state, last), x[t])).items()}
            )
            _check(states[-1], states[0], t + 1)
    keys = [key for key, tensor in states[0].items() if tensor.is_floating_point()]
    first = [states[0][key] for key in keys]
    parts = Parts(
        tuple(keys),
        tuple(tuple(tensor.shape) for tensor in first),
        tuple(_array(tensor[:0]).dtype if tensor.ndim else _array(tensor).dtype for tensor in first),
        batch_axis,
    )

    products = _Products()

    def pull(t: int, gradients: list[Array]) -> list[Array]:
        before = _with_gradients(states[t - 1], keys)
        with torch.enable_grad():
            after = _flat(step(_like(state, before), x[t - 1]))
        inputs = [before[key] for key in keys]
        outputs = [(i, after[key]) for i, key in enumerate(keys) if after[key].requires_grad]
        sent = [torch.as_tensor(gradients[i]).to(output.device, output.dtype) for i, output in outputs]
        got = products([output for _, output in outputs], inputs, sent) if outputs else [None] * len(keys)
        return [
            np.zeros_like(gradient) if values is None else _array(values)
            for gradient, values in zip(gradients, got, strict=True)
        ]

    if loss is None:
        start = parts.unit_vectors(seed, on)
    else:
        final = _with_gradients(states[-1], keys)
        with torch.enable_grad():
            value = loss(_like(state, final))
        if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
            raise ValueError("loss: must return a scalar that depends on the final state")
        got = torch.autograd.grad(value, [final[key] for key in keys], allow_unused=True)
        tensors = [torch.zeros_like(final[k]) if g is None else g for k, g in zip(keys, got, strict=True)]
        start = [_array(tensor)[None] for tensor in tensors]
    return lag_curve_of(parts, pull, len(x), start, loss_name(loss), name)


class _Products:
    """Vector-Jacobian products of all draws at once.

    The loop over the draws is left to torch, which vectorizes the backward pass. A backward pass that it
    cannot vectorize, such as one that leaves torch, runs once for each draw from then on.
    """

    def __init__(self) -> None:
        self._is_batched = True

    def __call__(self, outputs: list[Any], inputs: list[Any], sent: list[Any]) -> list[Any]:
        """Return the gradients of each input, with the draws along the first axis; None for zeros."""
        torch = installed("torch")
        if self._is_batched:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # operations without a vectorized form are slower
                    return list(
                        torch.autograd.grad(
                            outputs, inputs, sent, retain_graph=True, allow_unused=True, is_grads_batched=True
                        )
                    )
            except (RuntimeError, NotImplementedError, TypeError):
                self._is_batched = False
        draws = [
            torch.autograd.grad(outputs, inputs, list(one), retain_graph=True, allow_unused=True)
            for one in zip(*sent, strict=True)
        ]
        return [None if values[0] is None else torch.stack(values) for values in zip(*draws, strict=True)]


def _flat(state: Any, prefix: str = "") -> dict[str, Any]:
    """Return the tensors of a state by name; the name of a single tensor is ``."""
    if isinstance(state, Mapping):
        items = [(str(key), part) for key, part in state.items()]
    elif isinstance(state, tuple | list):
        fields = getattr(state, "_fields", None) or range(len(state))
        items = [(str(key), part) for key, part in zip(fields, state, strict=True)]
    elif isinstance(state, installed("torch").Tensor):
        return {prefix: state}
    else:
        raise ValueError(
            f"state: must be a tensor, or a tuple, list or dictionary of tensors, got {type(state).__name__}"
        )
    found: dict[str, Any] = {}
    for key, part in items:
        found |= _flat(part, f"{prefix}.{key}" if prefix else key)
    return found


def _like(state: Any, tensors: Mapping[str, Any], prefix: str = "") -> Any:
    """Return a state of the same form with other tensors; the inverse of `_flat`."""

    def name(key: Any) -> str:
        return f"{prefix}.{key}" if prefix else str(key)

    if isinstance(state, Mapping):
        return {key: _like(part, tensors, name(key)) for key, part in state.items()}
    if isinstance(state, tuple | list):
        fields = getattr(state, "_fields", None)
        keys = fields or range(len(state))
        made = [_like(part, tensors, name(key)) for key, part in zip(keys, state, strict=True)]
        return type(state)(*made) if fields else type(state)(made)
    return tensors[prefix]


def _check(after: Mapping[str, Any], first: Mapping[str, Any], t: int) -> None:
    """Refuse a state of another form."""
    if set(after) != set(first):
        raise ValueError(f"step: time step {t} returned the parts {sorted(after)}, must be {sorted(first)}")
    for key, tensor in after.items():
        if tensor.shape != first[key].shape:
            raise ValueError(
                f"step: time step {t} returned a state{f' {key!r}' if key else ''} of shape "
                f"{tuple(tensor.shape)}, must be {tuple(first[key].shape)}"
            )


def _with_gradients(tensors: Mapping[str, Any], keys: list[str]) -> dict[str, Any]:
    return {key: _kept(tensor).requires_grad_() if key in keys else tensor for key, tensor in tensors.items()}


def _kept(tensor: Any) -> Any:
    """Return a copy without gradients, which later time steps cannot change in place."""
    return tensor.detach().clone()


def _array(tensor: Any) -> Array:
    torch = installed("torch")
    dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    values: Array = tensor.detach().to("cpu", dtype).numpy()
    return values
