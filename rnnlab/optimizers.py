"""Optimisers: small pairs of `init` and `update`.

`init` makes the state for a set of parameters, a dict of arrays; `update` changes parameters and
state in place, given gradients under the parameters' names. η is the learning rate `lr`.
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt

from rnnlab.arrays import Array, Params

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0), Lt(1)]
State = dict[str, Array]


class Optimizer(Protocol):
    """What turns gradients into updates."""

    def init(self, params: Params) -> State:
        """The state before the first update."""

    def update(self, params: Params, grads: Params, state: State) -> None:
        """Make one update of `params` and `state`, in place."""


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: v ← μ v + g, w ← w - η v, with μ the momentum (0: plain)."""

    lr: Rate
    momentum: Decay

    def init(self, params: Params) -> State:
        """The velocities v, when there is momentum."""
        return _zeros(params, "v") if self.momentum else {}

    def update(self, params: Params, grads: Params, state: State) -> None:
        """Make one update in place."""
        for name, w in params.items():
            step = grads[name]
            if self.momentum:
                v = state[f"v.{name}"]
                v *= self.momentum
                v += step
                step = v
            w -= self.lr * step


@dataclass(frozen=True)
class AdaGrad:
    """AdaGrad (J. Duchi, E. Hazan & Y. Singer, 2011): m ← m + g², w ← w - η g / √(m + ε).

    ε stands inside the root, as in M. Kumar, *RNN Derivatives and Code sample*.
    """

    lr: Rate
    epsilon: Rate

    def init(self, params: Params) -> State:
        """The sums of squares m."""
        return _zeros(params, "m")

    def update(self, params: Params, grads: Params, state: State) -> None:
        """Make one update in place."""
        for name, w in params.items():
            g, m = grads[name], state[f"m.{name}"]
            m += g * g
            w -= self.lr * g / np.sqrt(m + self.epsilon)


@dataclass(frozen=True)
class RMSProp:
    """RMSProp (T. Tieleman & G. Hinton, 2012), as torch's: m ← ρ m + (1-ρ) g², w ← w - η g / (√m + ε)."""

    lr: Rate
    decay: Decay
    epsilon: Rate

    def init(self, params: Params) -> State:
        """The running mean squares m."""
        return _zeros(params, "m")

    def update(self, params: Params, grads: Params, state: State) -> None:
        """Make one update in place."""
        for name, w in params.items():
            g, m = grads[name], state[f"m.{name}"]
            _average(m, g * g, self.decay)
            w -= self.lr * g / (np.sqrt(m) + self.epsilon)


@dataclass(frozen=True)
class Adam:
    """Adam (D. P. Kingma & J. Ba, 2015).

    m ← β₁ m + (1-β₁) g    v ← β₂ v + (1-β₂) g²    w ← w - η m̂ / (√v̂ + ε)
    m̂ = m / (1 - β₁ᵏ)      v̂ = v / (1 - β₂ᵏ)       at update k = 1, 2, …
    """

    lr: Rate
    beta1: Decay
    beta2: Decay
    epsilon: Rate

    def init(self, params: Params) -> State:
        """The running means m and v, and the count k of updates."""
        return _zeros(params, "m") | _zeros(params, "v") | {"k": np.zeros((), np.int64)}

    def update(self, params: Params, grads: Params, state: State) -> None:
        """Make one update in place."""
        state["k"] += 1
        k = int(state["k"])
        rate = self.lr / (1 - self.beta1**k)
        v_correction = float(np.sqrt(1 - self.beta2**k))
        for name, w in params.items():
            g, m, v = grads[name], state[f"m.{name}"], state[f"v.{name}"]
            _average(m, g, self.beta1)
            _average(v, g * g, self.beta2)
            step = np.sqrt(v)
            step /= v_correction
            step += self.epsilon
            np.divide(m, step, out=step)
            step *= rate
            w -= step


def _zeros(params: Params, prefix: str) -> State:
    return {f"{prefix}.{name}": np.zeros_like(w) for name, w in params.items()}


def _average(mean: Array, value: Array, decay: float) -> None:
    """mean ← decay · mean + (1 - decay) · value, in place."""
    mean *= decay
    mean += (1 - decay) * value
