"""Networks with the weights of another framework, and weights for another framework."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.initial_states import Zero
from rnnlab.interop import LAYOUTS, Choices, Source
from rnnlab.interop.source import listed, short
from rnnlab.library.embeddings import embedding_names, read_embedding
from rnnlab.library.framework_tensors import flatten, keras_arrays, lazy_tensor
from rnnlab.library.layer_weights import cell_with
from rnnlab.library.networks import Network
from rnnlab.library.weight_files import open_weights
from rnnlab.model import Model
from rnnlab.readout import Readout

Prefix = str | Sequence[str] | None


def load(
    path: str | Path,
    layout: str = "torch",
    prefix: Prefix = None,
    *,
    nonlinearity: str | None = None,
    reset_after: bool | None = None,
    readout: str | None = None,
    embedding: Any = None,
    layers: int | None = None,
    direction: str | None = None,
) -> Network:
    """Return a network with the weights in a file of another framework.

    Cell, sizes, layers and biases follow from the names and shapes of the tensors. Only the tensors of the
    network are read, and nothing is unpickled. Without a readout, the outputs of the network are h[t].

    Args:
        path: File that ends in `.safetensors`, `.npz`, `.keras`, `.h5` or `.onnx`. The last three require
            `pip install 'rnnlab[interop]'`.
        layout: Framework whose names and gate orders the file has: `torch`, `keras`, `flax` or `onnx`.
        prefix: First part of the names of the recurrent module, which may be omitted if there is only one. A
            list of prefixes stacks several modules, from bottom to top.
        nonlinearity: Activation function of a vanilla cell: `tanh`, `relu` or `identity`.
        reset_after: True if the reset gate of a GRU multiplies the product W_hn h; see `cell.reset_after`.
        readout: First part of the names of a linear layer that reads h[t]; None for no readout.
        embedding: Name of the matrix, or of the layer, in which integer inputs are looked up, such as
            `encoder.weight`; or the matrix, shape (symbols, inputs). None reads integers as one-hot vectors.
        layers: Number of layers, from the bottom; None for all.
        direction: Direction of a bidirectional module, `forward` or `reverse`. The inputs of the reverse
            direction must be passed in reverse order, `x[::-1]`.

    Raises:
        ValueError: If the file cannot be read, or does not contain the weights of such a network.

    >>> weights = rl.network("gru", inputs=3, hidden=16).to_torch_state_dict()
    >>> np.savez("weights.npz", **weights)
    >>> rl.load("weights.npz", layout="torch")
    Network(gru, inputs=3, hidden=16, outputs=16, layers=1, dtype=float32, parameters=1232)
    """
    choices = Choices(nonlinearity, reset_after, direction, layers)
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"layout={short(repr(layout))}: must be {', '.join(LAYOUTS)}")
    return _network(open_weights(path), layout, prefix, readout, embedding, choices)


def from_torch(
    module_or_state_dict: Any,
    prefix: Prefix = None,
    *,
    nonlinearity: str | None = None,
    readout: str | None = None,
    embedding: Any = None,
    layers: int | None = None,
    direction: str | None = None,
) -> Network:
    """Return a network with the weights of a torch.nn.RNN, LSTM or GRU.

    Args:
        module_or_state_dict: The module, a module that contains it, or a state dict. Values may be tensors or
            arrays; they are copied. Half precision is converted to float32, with a warning.
        prefix: Name of the recurrent module in its parent, such as `encoder.rnn`; see `load`.
        nonlinearity: Activation function of a torch.nn.RNN, if a state dict is given.
        readout: Name of a torch.nn.Linear that reads h[t], such as `fc`; None for no readout.
        embedding: Name of the matrix, or of the layer, in which integer inputs are looked up, such as
            `encoder.weight`; or the matrix, shape (symbols, inputs). None reads integers as one-hot vectors.
        layers: Number of layers, from the bottom; None for all.
        direction: Direction of a bidirectional module; see `load`.

    Raises:
        ValueError: If the weights are not those of such a network.

    >>> rng = np.random.default_rng(0)
    >>> state = {"weight_ih_l0": rng.standard_normal((64, 3)), "weight_hh_l0": rng.standard_normal((64, 16))}
    >>> rl.from_torch(state)
    Network(lstm, inputs=3, hidden=16, outputs=16, layers=1, dtype=float64, parameters=1472)
    """
    choices = Choices(nonlinearity, None, direction, layers)
    owner = module_or_state_dict
    state = owner.state_dict() if callable(getattr(owner, "state_dict", None)) else owner
    if not isinstance(state, Mapping):
        raise ValueError(
            f"module_or_state_dict: is a {type(owner).__name__}; must be a module or a state dict"
        )
    source = Source({str(name): lazy_tensor(value) for name, value in state.items()})
    for name in LAYOUTS["torch"].find(source):
        part = owner
        for step in name.split(".") if name else ():
            part = getattr(part, step, None)
        if isinstance(φ := getattr(part, "nonlinearity", None), str):
            source.facts = {**source.facts, name: {"nonlinearity": φ}}
    return _network(source, "torch", prefix, readout, embedding, choices)


def from_keras(
    layer_or_weights: Any,
    prefix: Prefix = None,
    *,
    nonlinearity: str | None = None,
    reset_after: bool | None = None,
    readout: str | bool | None = None,
    embedding: Any = None,
) -> Network:
    """Return a network with the weights of a Keras SimpleRNN, LSTM or GRU.

    Args:
        layer_or_weights: The layer, a model that contains it, the arrays of `layer.get_weights()`, a list of
            such lists for several layers, or arrays by name.
        prefix: Path of the layer in a model, such as `lstm/lstm_cell`, or several; see `load`.
        nonlinearity: Activation function of a SimpleRNN, if arrays are given.
        reset_after: Form of a GRU without biases, if arrays are given.
        readout: Path of a Dense layer that reads h[t]; True if the last list of arrays has its weights; None
            for no readout.
        embedding: Name of the matrix, or of the layer, in which integer inputs are looked up, such as
            `encoder.weight`; or the matrix, shape (symbols, inputs). None reads integers as one-hot vectors.

    Raises:
        ValueError: If the weights are not those of such a network.

    >>> net = rl.network("gru", inputs=3, hidden=16, overrides=["cell.reset_after=false"])
    >>> weights = net.to_keras_weights()
    >>> [w.shape for w in weights[0]]
    [(3, 48), (16, 48), (48,)]
    >>> rl.from_keras(weights[0])
    Network(gru, inputs=3, hidden=16, outputs=16, layers=1, dtype=float32, parameters=1216)
    """
    choices = Choices(nonlinearity, reset_after)
    name = _last("layer_or_weights", layer_or_weights, readout, list | tuple)
    named, facts = keras_arrays(layer_or_weights, with_readout=name is not readout)
    source = Source({name: lazy_tensor(value) for name, value in named.items()}, facts)
    if prefix is None and isinstance(layer_or_weights, list | tuple):
        prefix = sorted(LAYOUTS["keras"].find(source), key=lambda name: (len(name), name)) or None
    return _network(source, "keras", prefix, name, embedding, choices)


def from_flax(
    params: Any,
    prefix: Prefix = None,
    *,
    nonlinearity: str | None = None,
    readout: str | bool | None = None,
    embedding: Any = None,
) -> Network:
    """Return a network with the parameters of a flax.linen SimpleCell, LSTMCell or GRUCell.

    Args:
        params: Tree of parameters, as returned by `module.init`, with or without the level `params`, or a
            list of trees for several layers.
        prefix: Path of the cell in the tree, such as `encoder/cell`, or several; see `load`.
        nonlinearity: Activation function of a SimpleCell.
        readout: Path of a Dense layer that reads h[t]; True if the last tree of a list has its parameters;
            None for no readout.
        embedding: Name of the matrix, or of the layer, in which integer inputs are looked up, such as
            `encoder.weight`; or the matrix, shape (symbols, inputs). None reads integers as one-hot vectors.

    Raises:
        ValueError: If the parameters are not those of such a network.

    >>> rl.from_flax(rl.network("lstm", inputs=3, hidden=16, layers=2).to_flax_params())
    Network(lstm, inputs=3, hidden=16, outputs=16, layers=2, dtype=float32, parameters=3648)
    """
    choices = Choices(nonlinearity)
    is_list, dense = isinstance(params, list | tuple), _last("params", params, readout, Mapping)
    trees = {f"params[{k}]": tree for k, tree in enumerate(params)} if is_list else params
    if not isinstance(trees, Mapping):
        raise ValueError(f"params: is a {type(params).__name__}; must be a tree of dictionaries")
    top = trees.get("params", trees) if len(trees) == 1 and not is_list else trees
    found = dict(flatten(top if isinstance(top, Mapping) else trees))
    source = Source({name: lazy_tensor(value) for name, value in found.items()})
    if prefix is None and is_list:
        prefix = [_only_cell(source, name) for name in trees if name != dense] or None
    return _network(source, "flax", prefix, dense, embedding, choices)


def _last(argument: str, items: Any, readout: str | bool | None, kind: Any) -> str | None:
    """Return the readout, or the name of the last of several items, all of a kind, if it is True."""
    if not isinstance(readout, bool):
        return readout
    is_list = isinstance(items, list | tuple) and len(items) > 1
    if not readout or not is_list or not all(isinstance(item, kind) for item in items):
        raise ValueError(
            f"readout={readout}: must be the path of a Dense layer, None, or, for a list whose last item is "
            "the Dense layer, True"
        )
    return f"{argument}[{len(items) - 1}]"


def _only_cell(source: Source, name: str) -> str:
    """Return the prefix of the only cell in a tree of a list."""
    found = [prefix for prefix in LAYOUTS["flax"].find(source) if f"{prefix}/".startswith(f"{name}/")]
    if len(found) != 1:
        raise ValueError(f"{name}: contains {len(found)} cells; each tree of a list must contain one")
    return found[0]


def _readout(
    source: Source, layout: str, prefix: str, units: int, choices: Choices
) -> tuple[Array, Array | None]:
    try:
        if not isinstance(prefix, str):
            raise ValueError("must be a string")
        W_hy, b_y = LAYOUTS[layout].read_readout(source, prefix.rstrip("./"))
        if W_hy.shape[1] != units:
            reads_both = choices.direction is not None and W_hy.shape[1] == 2 * units
            remedy = "; it reads both directions, so measure one without a readout" if reads_both else ""
            raise ValueError(f"reads {W_hy.shape[1]} units, but the top layer has {units}{remedy}")
    except ValueError as error:
        names = _linear_layers(source, layout, units)
        available = f"; linear layers that read {units} units: {listed(names)}" if names else ""
        raise ValueError(f"readout={short(repr(prefix))}: {error}{available}") from None
    return W_hy, b_y


def _linear_layers(source: Source, layout: str, units: int) -> list[str]:
    """Return the names of the linear layers whose number of inputs is `units`."""
    end, axis = {"torch": (".weight", 1), "onnx": ("/B", 0)}.get(layout, ("/kernel", 0))
    recurrent = tuple(f"{prefix}{end[0]}" for prefix in LAYOUTS[layout].find(source))
    return [
        name.removesuffix(end)
        for name, tensor in source.tensors.items()
        if name.endswith(end)
        and not name.startswith(recurrent)
        and len(tensor.shape) == 2
        and tensor.shape[axis] == units
    ]


def _network(
    source: Source, layout: str, prefix: Prefix, readout: str | None, embedding: Any, choices: Choices
) -> Network:
    chosen = LAYOUTS[layout]
    found = chosen.find(source)
    if prefix is None:
        if len(found) > 1:
            raise ValueError(f"prefix: several recurrent modules; pass prefix= one of {listed(found)}")
        prefix = found[0] if found else ""
    prefixes: list[Any] = list(prefix) if isinstance(prefix, list | tuple) else [prefix]
    if not prefixes or not all(isinstance(name, str) for name in prefixes):
        raise ValueError(f"prefix={short(repr(prefix))}: must be a string, or a list of at least one string")
    weights = [layer for name in prefixes for layer in chosen.read(source, name.rstrip("./"), choices)]
    if not chosen.has_layers and choices.layers is not None:
        if choices.layers > len(weights):
            raise ValueError(f"layers={choices.layers}: prefix names {len(weights)}")
        weights = weights[: choices.layers]
    cell = cell_with(weights)
    single = len(weights) == 1
    params = {
        name if single else f"l{k}.{name}": array
        for k, layer in enumerate(weights, start=1)
        for name, array in layer.params.items()
    }
    dtype = weights[0].params["W_hh"].dtype
    W_hy, b_y = np.eye(cell.output_size, dtype=dtype), None
    if readout is not None:
        W_hy, b_y = _readout(source, layout, readout, cell.output_size, choices)
    params |= {"W_hy": W_hy} | ({} if b_y is None else {"b_y": b_y})
    if len(types := sorted({str(a.dtype) for a in params.values()})) > 1:
        raise ValueError(f"weights: have the data types {' and '.join(types)}; must have a single one")
    X, rows = weights[0].sizes[0], None
    if embedding is not None:
        rows = read_embedding(source, embedding, X, dtype, found)
    if source.converted:
        text = f"{len(source.converted)} tensors in half precision were converted to float32"
        warnings.warn(text, UserWarning, stacklevel=3)
    has_bias = b_y is not None
    model = Model(cell, Readout(cell.output_size, len(W_hy), has_bias), Zero(), "squared_error", "mean")
    possible = embedding_names(source, X, found) if rows is None else ()
    kind = weights[0].cell
    return Network(f"{kind} from {layout}", kind, model, params, 0, False, rows, possible)
