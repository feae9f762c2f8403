"""The recurrent modules of a model, and the hooks that a probe registers in them."""

from typing import Any

from rnnlab.library.frameworks import installed
from rnnlab.torch.layers import KINDS


class Hook:
    """A hook that has no effect in copies of the module, whether deep-copied or pickled."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *args: Any) -> None:
        """Run the hook."""
        self._function(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, (_no_effect,)


def _no_effect(*_: Any) -> None:
    """Do nothing."""


def recurrent_modules(model: Any) -> dict[str, Any]:
    """Return the recurrent modules of a model by name."""
    nn = installed("torch").nn
    if not isinstance(model, nn.Module):
        raise ValueError(f"model: must be a torch.nn.Module, got {type(model).__name__}")
    found = {
        name or type(module).__name__.lower(): module
        for name, module in model.named_modules()
        if isinstance(module, nn.RNNBase)
    }
    if not found:
        if any(isinstance(module, nn.RNNCellBase) for module in model.modules()):
            raise ValueError(
                "model: has cells that a loop of your own calls; measure them with "
                "rnnlab.torch.lag_curve(step, state, x)"
            )
        raise ValueError("model: contains no nn.RNN, nn.LSTM or nn.GRU")
    for name, module in found.items():
        if (reason := _refusal(module)) is not None:
            raise ValueError(f"model: {name}: {reason}")
    return found


def _refusal(module: Any) -> str | None:
    """Return why a recurrent module cannot be measured, or None."""
    if module.mode not in KINDS:
        return f"mode {module.mode!r} is unknown; must be one of {', '.join(KINDS)}"
    if module.proj_size:
        return f"proj_size={module.proj_size} is not supported; must be 0"
    return None
