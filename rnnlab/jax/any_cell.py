"""Lag curves of any cell written in JAX."""

from collections.abc import Callable
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
    """Return the lag curve of a step function, by `jax.vjp` of one time step at a time.

    The arguments and the result are those of `rnnlab.torch.lag_curve`. `step` is compiled by `jax.jit`, as in
    `jax.lax.scan`, and the state may be any pytree.

    Args:
        step: Function `step(state, x_t)` that returns the next state, in the form of the last one. It is
            called twice for each time step and must return the same state, so it may not contain dropout.
        state: Initial state, a pytree of arrays.
        x: Inputs: an array, or a pytree of arrays, whose first axis is time.
        loss: Function of the final state that returns a scalar; None for the random unit vector.
        on: Name of the part of the state on which the random unit vector acts; None for the whole state.
        batch_axis: Axis of the sequences in each array of the state; None if there is one sequence.
        seed: Seed of the random unit vectors.
        name: Name of the cell.

    Raises:
        ImportError: If jax is not installed.
        ValueError: If an argument is invalid, or if `step` returns a state of another form.
    """
    jax = installed("jax")
    tree = jax.tree_util
    time = len(tree.tree_leaves(x)[0])
    if time < 2:
        raise ValueError(f"x: must have at least 2 time steps, got {time}")
    paths, form = tree.tree_flatten_with_path(state)
    leaves = [jax.numpy.asarray(leaf) for _, leaf in paths]
    chosen = [i for i, leaf in enumerate(leaves) if jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)]

    @jax.jit  # type: ignore[untyped-decorator]
    def run(leaves: Any, x_t: Any) -> Any:
        after, found = tree.tree_flatten(step(tree.tree_unflatten(form, leaves), x_t))
        shapes = [jax.numpy.shape(leaf) for leaf in leaves]
        if found != form or [jax.numpy.shape(leaf) for leaf in after] != shapes:
            raise ValueError(f"step: returned a state of another form or shape, {found}; must be {form}")
        return after

    @jax.jit  # type: ignore[untyped-decorator]
    def pulled(leaves: Any, x_t: Any, gradients: Any) -> Any:
        def of_parts(parts: Any) -> Any:
            after = run(_replaced(leaves, chosen, parts), x_t)
            return [after[i] for i in chosen]

        _, back = jax.vjp(of_parts, [leaves[i] for i in chosen])
        return jax.vmap(lambda sent: back(sent)[0])(gradients)

    def input_at(t: int) -> Any:
        return tree.tree_map(lambda values: values[t - 1], x)

    states = [leaves]
    for t in range(1, time + 1):
        states.append(run(states[-1], input_at(t)))
    names = tuple(_name(tree, paths[i][0]) for i in chosen)
    shapes = tuple(tuple(leaves[i].shape) for i in chosen)
    dtypes = tuple(np.float64 if leaves[i].dtype == np.float64 else np.float32 for i in chosen)
    parts = Parts(names, shapes, dtypes, batch_axis)

    def pull(t: int, gradients: list[Array]) -> list[Array]:
        sent = [values.astype(leaves[i].dtype) for i, values in zip(chosen, gradients, strict=True)]
        got = pulled(states[t - 1], input_at(t), sent)
        return [np.asarray(values).astype(kind) for values, kind in zip(got, dtypes, strict=True)]

    if loss is None:
        start = parts.unit_vectors(seed, on)
    else:
        of_final = jax.grad(lambda own: loss(tree.tree_unflatten(form, _replaced(states[-1], chosen, own))))(
            [states[-1][i] for i in chosen]
        )
        start = [np.asarray(values)[None].astype(kind) for values, kind in zip(of_final, dtypes, strict=True)]
    return lag_curve_of(parts, pull, time, start, loss_name(loss), name)


def _replaced(leaves: Any, chosen: list[int], parts: Any) -> list[Any]:
    changed = list(leaves)
    for i, part in zip(chosen, parts, strict=True):
        changed[i] = part
    return changed


def _name(tree: Any, path: Any) -> str:
    """Return the name of a leaf, such as `h` or `0`."""
    keys = (str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path)
    return ".".join(keys)
