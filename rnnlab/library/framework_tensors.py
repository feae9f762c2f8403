"""Tensors of the objects of other frameworks, by name; the frameworks themselves are not imported."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop import Tensor
from rnnlab.interop.source import short

MAX_DEPTH = 100
KERAS_PARTS = ("kernel", "recurrent_kernel", "bias")
KERAS_DENSE = ("kernel", "bias")
KERAS_ACTIVATIONS = {"tanh": "tanh", "relu": "relu", "linear": "identity"}


def lazy_tensor(value: Any) -> Tensor:
    """Return a tensor of a framework, or an array, whose values are converted when they are needed."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    try:
        sizes = tuple(int(size) for size in shape or ())
    except Exception:  # a shape that is not known yet
        raise ValueError(f"weights: a tensor has the shape {short(shape)}; must be integers") from None
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if shape is None or dtype is None:
        return Tensor((), type(value).__name__, lambda: value)
    return Tensor(sizes, name, lambda: _values(value, name))


def _values(value: Any, dtype: str) -> Array:
    for method in ("detach", "cpu", *(("float",) if dtype == "bfloat16" else ())):
        if callable(convert := getattr(value, method, None)):
            value = convert()
    if callable(getattr(value, "numpy", None)):
        value = value.numpy()
    a = np.asarray(value)
    return a.astype(np.float32) if dtype == "bfloat16" else a


def flatten(tree: Mapping[Any, Any], start: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the leaves of nested dictionaries, with the path of each, separated by slashes."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{start}{key}/")
        else:
            yield f"{start}{key}", value


def keras_arrays(
    owner: Any, with_readout: bool = False
) -> tuple[Mapping[str, Any], dict[str, dict[str, Any]]]:
    """Return the arrays of a layer, model or list by name, and what the layers state.

    Args:
        owner: The layer, model or list.
        with_readout: True if the last item of a list has the weights of a Dense layer.
    """
    if isinstance(owner, Mapping):
        return {str(name).removesuffix(":0"): value for name, value in owner.items()}, {}
    if isinstance(owner, list | tuple):
        lists = owner if owner and all(isinstance(part, list | tuple) for part in owner) else [owner]
        items = [
            f"layer_or_weights[{k}]" if lists is owner else "layer_or_weights" for k in range(len(lists))
        ]
        named: dict[str, Any] = {}
        for item, part in zip(items, lists, strict=True):
            names = KERAS_DENSE if with_readout and item == items[-1] else KERAS_PARTS
            if not len(names) - 1 <= len(part) <= len(names):
                raise ValueError(
                    f"{item}: has {len(part)} arrays; must be {', '.join(names[:-1])} and {names[-1]}"
                )
            start = "" if len(lists) == 1 else f"{item}/"
            named |= {start + name: a for name, a in zip(names, part, strict=False)}
        return named, {}
    if not hasattr(owner, "weights"):
        raise ValueError(
            f"layer_or_weights: is a {type(owner).__name__}; must be a layer, arrays or arrays by name"
        )
    named = {str(getattr(w, "path", None) or w.name).removesuffix(":0"): w for w in owner.weights}
    facts = {}
    for layer in _keras_layers(owner):
        prefixes = [
            str(w.path).rpartition("/")[0] for w in layer.weights if str(w.path).endswith("/recurrent_kernel")
        ]
        if len(prefixes) == 1 and callable(getattr(layer, "get_config", None)):
            facts[prefixes[0]] = keras_facts(layer.get_config(), short(prefixes[0]))
    return named, facts


def check_keras_config(config: Any, depth: int = 0) -> None:
    """Raise ValueError if a recurrent layer in the configuration of a model is another cell."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the configuration is nested more than {MAX_DEPTH} levels deep")
    if isinstance(config, list):
        for part in config:
            check_keras_config(part, depth + 1)
    elif isinstance(config, Mapping):
        own = config.get("config")
        if config.get("class_name") in ("LSTM", "GRU") and isinstance(own, Mapping):
            keras_facts(own, short(own.get("name")))
        for part in config.values():
            check_keras_config(part, depth + 1)


def _keras_layers(owner: Any) -> Iterable[Any]:
    parts = list(getattr(owner, "layers", None) or [])
    for name in ("forward_layer", "backward_layer"):
        parts += [getattr(owner, name)] if hasattr(owner, name) else []
    for part in parts:
        yield from _keras_layers(part)
    if not parts:
        yield owner


def keras_facts(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what the configuration of a layer states, or raise ValueError if rnnlab has no such cell."""
    activation, gates = config.get("activation", "tanh"), config.get("recurrent_activation", "sigmoid")
    if "recurrent_activation" in config and (activation, gates) != ("tanh", "sigmoid"):
        raise ValueError(
            f"{name}: has activation={short(activation)} and recurrent_activation={short(gates)}; must be "
            "tanh and sigmoid"
        )
    facts: dict[str, Any] = {}
    if "recurrent_activation" not in config:
        if activation not in KERAS_ACTIVATIONS:
            raise ValueError(f"{name}: has activation={short(activation)}; must be tanh, relu or linear")
        facts["nonlinearity"] = KERAS_ACTIVATIONS[activation]
    if "reset_after" in config:
        facts["reset_after"] = bool(config["reset_after"])
    return facts
