"""Optimisers, each with the methods `init` and `update`.

`init` creates the optimiser state for a dict of parameters. `update` takes the gradients keyed by parameter
name, and changes the parameters and the state in place. In the formulas, η is the learning rate `lr`.

Each optimiser states its update by the method `equations`, a function of single elements that may only use
arithmetic and `sqrt`. Both engines derive the update from it; see `rnnlab.engine.updates`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt

from rnnlab.arrays import Array, Params
from rnnlab.engine.activations import sqrt
from rnnlab.engine.updates import update
from rnnlab.workspace import Workspace

Rate = Annotated[float, Gt(0)]
Decay = Annotated[float, Ge(0), Lt(1)]
State = dict[str, Array]


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

    def update(
        self, params: Params, grads: Params, state: State, workspace: Workspace | None = None
    ) -> str | None:
        """Update `params` and `state` in place; the workspace selects the engine.

        If a weight would become infinite or NaN, `params` remain unchanged, and the name of the parameter is
        returned.
        """


class _Elementwise(ABC):
    """An optimiser that treats all weights alike.

    Attributes:
        moments: Names of the state variables with one element per weight, which are 0 at first.
    """

    non_negative: ClassVar[tuple[str, ...]] = ()
    counters: ClassVar[tuple[str, ...]] = ()

    @property
    def moments(self) -> tuple[str, ...]:
        return self.non_negative

    @abstractmethod
    def equations(self, *values: Any, **numbers: Any) -> Any:
        """Return the new moments and the step that is subtracted from the weight.

        The arguments are the gradient, the moments before the update and, by name, the numbers returned by
        `count`. Each moment before the update may only be used once, for its own new value.
        """

    def count(self, state: State) -> Mapping[str, float]:
        """Count an update, and return the numbers in the equations that depend on the count."""
        return {}

    def init(self, params: Params) -> State:
        """Return the initial moments and counters, all 0."""
        size, dtype = sum(w.size for w in params.values()), next(iter(params.values())).dtype
        state = {name: np.zeros(size, dtype) for name in self.moments}
        return state | {name: np.zeros((), np.int64) for name in self.counters}

    def update(
        self, params: Params, grads: Params, state: State, workspace: Workspace | None = None
    ) -> str | None:
        """Update `params` and `state` in place; see `Optimizer.update`."""
        return update(self, params, grads, state, self.count(state), workspace)


@dataclass(frozen=True)
class SGD(_Elementwise):
    """Stochastic gradient descent: v ← μ v + g, w ← w - η v, with momentum μ (0 for plain SGD)."""

    lr: Rate
    momentum: Decay

    @property
    def moments(self) -> tuple[str, ...]:
        """The velocity, unless the momentum is 0."""
        return ("v",) if self.momentum else ()

    def equations(self, g: Any, v: Any = None) -> Any:
        """Return v and η v, or η g if the momentum is 0."""
        if v is None:
            return g * self.lr
        v = v * self.momentum + g
        return v, v * self.lr


@dataclass(frozen=True)
class AdaGrad(_Elementwise):
    """AdaGrad (J. Duchi, E. Hazan & Y. Singer, 2011): m ← m + g², w ← w - η g / √(m + ε).

    The constant ε is inside the square root, as in Kumar, *RNN Derivatives and Code sample*.
    """

    non_negative: ClassVar[tuple[str, ...]] = ("m",)

    lr: Rate
    epsilon: Rate

    def equations(self, g: Any, m: Any) -> Any:
        """Return the sum of squared gradients and the step."""
        m = m + g * g
        return m, self.lr * g / sqrt(m + self.epsilon)


@dataclass(frozen=True)
class RMSProp(_Elementwise):
    """RMSProp (T. Tieleman & G. Hinton, 2012) as in PyTorch.

    m ← ρ m + (1-ρ) g²     w ← w - η g / (√m + ε)
    """

    non_negative: ClassVar[tuple[str, ...]] = ("m",)

    lr: Rate
    decay: Decay
    epsilon: Rate

    def equations(self, g: Any, m: Any) -> Any:
        """Return the running mean of squared gradients and the step."""
        m = _average(m, g * g, self.decay)
        return m, self.lr * g / (sqrt(m) + self.epsilon)


@dataclass(frozen=True)
class Adam(_Elementwise):
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

    @property
    def moments(self) -> tuple[str, ...]:
        """The running means m of gradients and v of squared gradients."""
        return "m", "v"

    def count(self, state: State) -> Mapping[str, float]:
        """Return η / (1 - β₁ᵏ) and √(1 - β₂ᵏ)."""
        state["k"] += 1
        k = int(state["k"])
        rate = self.lr / (1 - self.beta1**k)
        return {"rate": rate, "correction": math.sqrt(1 - self.beta2**k)}

    def equations(self, g: Any, m: Any, v: Any, *, rate: Any, correction: Any) -> Any:
        """Return both running means and the step."""
        m = _average(m, g, self.beta1)
        v = _average(v, g * g, self.beta2)
        return m, v, m / (sqrt(v) / correction + self.epsilon) * rate


def _average(mean: Any, value: Any, decay: Any) -> Any:
    """Return the running mean decay · mean + (1 - decay) · value."""
    return mean * decay + (1 - decay) * value
