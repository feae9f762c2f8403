"""Optimisers, each with the methods `init` and `update`.

`init` creates the optimiser state for a dict of parameters. `update` takes the gradients keyed by parameter
name, and changes the parameters and the state in place. In the formulas, η is the learning rate `lr`.

Each optimiser concatenates the gradients with respect to all parameters into one vector, in sorted order of
the parameter names. In a small network, function calls dominate the cost of an update. Updating the
parameters one by one would require five times as many calls, at a cost of 8 % of a training step
(H = 100, B = 1, T = 25).
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt

from rnnlab.arrays import Array, Params

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0), Lt(1)]
State = dict[str, Array]
HARMLESS = 1e19
"""Size below which a step makes no finite weight infinite: next to weights of 1e38 it is rounded away."""


class Optimizer(Protocol):
    """Interface of all optimisers.

    Attributes:
        non_negative: Names of the state variables that are never negative, such as sums of squares.
        counters: Names of the state variables that count updates.
    """

    non_negative: ClassVar[tuple[str, ...]]
    counters: ClassVar[tuple[str, ...]]

    def init(self, params: Params) -> State:
        """Return the optimiser state before the first update."""

    def update(self, params: Params, grads: Params, state: State) -> str | None:
        """Update `params` and `state` in place.

        If a weight would become infinite or NaN, `params` remain unchanged, and the name of the parameter is
        returned.
        """


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: v ← μ v + g, w ← w - η v, with momentum μ (0 for plain SGD)."""

    non_negative: ClassVar[tuple[str, ...]] = ()
    counters: ClassVar[tuple[str, ...]] = ()

    lr: Rate
    momentum: Decay

    def init(self, params: Params) -> State:
        """Return the initial velocity v = 0, or an empty state if the momentum is 0."""
        return {"v": _zeros(params)} if self.momentum else {}

    def update(self, params: Params, grads: Params, state: State) -> str | None:
        """Update `params` and `state` in place; see `Optimizer.update`."""
        step = _flat(params, grads)
        if self.momentum:
            v = state["v"]
            v *= self.momentum
            v += step
            np.copyto(step, v)
        step *= self.lr
        return _subtract(params, step)


@dataclass(frozen=True)
class AdaGrad:
    """AdaGrad (J. Duchi, E. Hazan & Y. Singer, 2011): m ← m + g², w ← w - η g / √(m + ε).

    The constant ε is inside the square root, as in Kumar, *RNN Derivatives and Code sample*.
    """

    non_negative: ClassVar[tuple[str, ...]] = ("m",)
    counters: ClassVar[tuple[str, ...]] = ()

    lr: Rate
    epsilon: Rate

    def init(self, params: Params) -> State:
        """Return the initial sum of squared gradients, m = 0."""
        return {"m": _zeros(params)}

    def update(self, params: Params, grads: Params, state: State) -> str | None:
        """Update `params` and `state` in place; see `Optimizer.update`."""
        g, m = _flat(params, grads), state["m"]
        m += g * g
        return _subtract(params, self.lr * g / np.sqrt(m + self.epsilon))


@dataclass(frozen=True)
class RMSProp:
    """RMSProp (T. Tieleman & G. Hinton, 2012) as in PyTorch.

    m ← ρ m + (1-ρ) g²     w ← w - η g / (√m + ε)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("m",)
    counters: ClassVar[tuple[str, ...]] = ()

    lr: Rate
    decay: Decay
    epsilon: Rate

    def init(self, params: Params) -> State:
        """Return the initial running mean of squared gradients, m = 0."""
        return {"m": _zeros(params)}

    def update(self, params: Params, grads: Params, state: State) -> str | None:
        """Update `params` and `state` in place; see `Optimizer.update`."""
        g, m = _flat(params, grads), state["m"]
        _average(m, g * g, self.decay)
        return _subtract(params, self.lr * g / (np.sqrt(m) + self.epsilon))


@dataclass(frozen=True)
class Adam:
    """Adam (D. P. Kingma & J. Ba, 2015).

    m ← β₁ m + (1-β₁) g    v ← β₂ v + (1-β₂) g²    w ← w - η m̂ / (√v̂ + ε)
    m̂ = m / (1 - β₁ᵏ)      v̂ = v / (1 - β₂ᵏ)       at update k = 1, 2, …
    """

    non_negative: ClassVar[tuple[str, ...]] = ("v",)
    counters: ClassVar[tuple[str, ...]] = ("k",)

    lr: Rate
    beta1: Decay
    beta2: Decay
    epsilon: Rate

    def init(self, params: Params) -> State:
        """Return the initial running means m and v and the initial update count k, all 0."""
        return {"m": _zeros(params), "v": _zeros(params), "k": np.zeros((), np.int64)}

    def update(self, params: Params, grads: Params, state: State) -> str | None:
        """Update `params` and `state` in place; see `Optimizer.update`."""
        state["k"] += 1
        k = int(state["k"])
        rate = self.lr / (1 - self.beta1**k)
        v_correction = float(np.sqrt(1 - self.beta2**k))
        g, m, v = _flat(params, grads), state["m"], state["v"]
        _average(m, g, self.beta1)
        g *= g
        _average(v, g, self.beta2)
        step = np.sqrt(v, out=g)
        step /= v_correction
        step += self.epsilon
        np.divide(m, step, out=step)
        step *= rate
        return _subtract(params, step)


def _zeros(params: Params) -> Array:
    return np.zeros(sum(w.size for w in params.values()), next(iter(params.values())).dtype)


def _flat(params: Params, grads: Params) -> Array:
    """Concatenate all gradients in sorted order of the parameter names."""
    return np.concatenate([grads[name].reshape(-1) for name in sorted(params)])


def _subtract(params: Params, step: Array) -> str | None:
    """Subtract a step from the weights, or return the name of a parameter that would become non-finite."""
    parts, start = {}, 0
    for name in sorted(params):
        w = params[name]
        parts[name] = step[start : start + w.size].reshape(w.shape)
        start += w.size
    if not (step.min() > -HARMLESS and step.max() < HARMLESS):  # or NaN
        for name, w in params.items():
            if not np.isfinite(w - parts[name]).all():
                return name
    for name, part in parts.items():
        params[name] -= part
    return None


def _average(mean: Array, value: Array, decay: float) -> None:
    """Update a running mean in place: mean ← decay · mean + (1 - decay) · value."""
    mean *= decay
    mean += (1 - decay) * value
