"""Layout of torch.nn.RNN, LSTM and GRU, and of their single-step cells.

| tensor | shape | rows |
|---|---|---|
| `weight_ih_l{k}` | (G·H, X) | LSTM: i, f, g, o; GRU: r, z, n |
| `weight_hh_l{k}` | (G·H, H) | the same |
| `bias_ih_l{k}`, `bias_hh_l{k}` | (G·H,) | the same; both or none |

The two biases are added, except those of the candidate of a GRU. `_reverse` marks the second direction.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.arrays import Array
from rnnlab.interop.source import Source, children, short
from rnnlab.interop.weights import (
    Choices,
    LayerWeights,
    assemble,
    cell_of,
    choose,
    options_of,
    refuse_cells,
    take_layers,
)

HAS_LAYERS = True
ORDERS = {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "u", "n")}
EXAMPLE = "encoder.weight_hh_l0"
NAME = re.compile(
    r"(?s)(?:(?P<prefix>.*)\.)?(?:weight|bias)_(?P<part>ih|hh|hr)"
    r"(?P<end>(?:_l(?P<layer>0|[1-9][0-9]{0,3})(_reverse)?)?)"
)
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def find(source: Source) -> list[str]:
    """Return the prefixes of the recurrent modules, without the final dot."""
    matches = (NAME.fullmatch(name) for name in source.tensors)
    return sorted({match["prefix"] or "" for match in matches if match})


def read(source: Source, prefix: str, choices: Choices) -> list[LayerWeights]:
    """Return the layers of one module and direction.

    Raises:
        ValueError: If the tensors do not fit a module.
    """
    start = f"{prefix}." if choose(find(source), prefix, EXAMPLE) else ""
    own = children(source.tensors, prefix, ".")
    matches = [match for match in map(NAME.fullmatch, own) if match]
    source.refuse_others([start + name for name in own], [start + match[0] for match in matches])
    if projections := [match[0] for match in matches if match["part"] == "hr"]:
        raise ValueError(f"{short(start + projections[0])}: an LSTM with proj_size is not supported")
    ends = {match["end"] for match in matches}
    reverse = {end for end in ends if end.endswith("_reverse")}
    if reverse and choices.direction is None:
        raise ValueError(
            "direction: the module is bidirectional; pass direction='forward' or direction='reverse'"
        )
    if choices.direction == "reverse" and not reverse:
        raise ValueError("direction='reverse': the module has one direction, forward")
    suffix = "_reverse" if choices.direction == "reverse" else ""
    layers = {match[0]: int(match["layer"]) for match in matches if match["layer"]}
    if "" in ends and layers:
        single = min(match[0] for match in matches if not match["end"])
        raise ValueError(f"{short(start + single)}: unexpected beside {short(start + min(layers))}")
    count = len(set(layers.values()))
    for k in range(count):
        if k not in layers.values():
            above = max(name for name, layer in layers.items() if layer > k)
            raise ValueError(
                f"{short(f'{start}weight_hh_l{k}{suffix}')}: missing, although there is "
                f"{short(start + above)}; layers are numbered from 0 without gaps"
            )
    endings = [f"_l{k}{suffix}" for k in range(count)] or [""]
    expected = [f"{part}{end}" for end in endings for part in PARTS]
    has_bias = any(name.startswith("bias") and name in expected for name in own)
    count = take_layers(len(endings), choices)
    if reverse and count > 1:
        raise ValueError(
            "layers: layers from the second on read both directions; pass layers=1, or measure all layers "
            "during training with rnnlab.torch.watch"
        )
    facts = {prefix: {**source.facts.get(prefix, {}), "reset_after": True}}
    source = Source(source.tensors, facts, source.converted, source.used)
    return [_layer(source, prefix, start, end, has_bias, choices) for end in endings[:count]]


def _layer(
    source: Source, prefix: str, start: str, end: str, has_bias: bool, choices: Choices
) -> LayerWeights:
    names = [f"{start}{part}{end}" for part in PARTS]
    rows, H = source.shape(names[1], 2)
    cell = cell_of(names[1], rows, H)
    _, X = source.shape(names[0], 2)
    W_xh, W_hh = source.array(names[0], (rows, X)), source.array(names[1], (rows, H))
    biases = (source.array(names[2], (rows,)), source.array(names[3], (rows,))) if has_bias else None
    return layer_of(cell, W_xh, W_hh, biases, options_of(cell, source, prefix, choices), names[0])


def layer_of(
    cell: str,
    W_xh: Array,
    W_hh: Array,
    biases: tuple[Array, Array] | None,
    options: Mapping[str, Any],
    name: str = "weight_ih",
) -> LayerWeights:
    """Return a layer, given the arrays of a module, which may contain NaN.

    Args:
        cell: The cell.
        W_xh: `weight_ih`.
        W_hh: `weight_hh`.
        biases: `bias_ih` and `bias_hh`; None without biases.
        options: `nonlinearity` of a vanilla cell, or `reset_after` of a GRU.
        name: Name of `weight_ih`, for messages.
    """
    return assemble(ORDERS, cell, W_xh, W_hh, biases, options, name)


def read_readout(source: Source, prefix: str) -> tuple[Array, Array | None]:
    """Return the weights of a torch.nn.Linear.

    Raises:
        ValueError: If the tensors are missing, or if their shapes do not fit.
    """
    start = f"{prefix}." if prefix else ""
    outputs, H = source.shape(f"{start}weight", 2)
    bias = source.array(f"{start}bias", (outputs,))[:, None] if f"{start}bias" in source.tensors else None
    return source.array(f"{start}weight", (outputs, H)), bias


def write_readout(W_hy: Array, b_y: Array | None) -> dict[str, Array]:
    """Return the tensors of a torch.nn.Linear."""
    return {"weight": W_hy.copy()} | ({} if b_y is None else {"bias": b_y[:, 0].copy()})


def write(layers: Sequence[LayerWeights]) -> dict[str, Array]:
    """Return the tensors of a module; the second bias is 0 where torch adds the two.

    Raises:
        ValueError: If torch has no such cell.
    """
    refuse_cells(layers, "torch", ("tanh", "relu"), before=False)
    found = {}
    for k, layer in enumerate(layers):
        order = ORDERS[layer.cell]
        found[f"weight_ih_l{k}"] = layer.blocks("W_xh", order)
        found[f"weight_hh_l{k}"] = layer.blocks("W_hh", order)
        if layer.has_bias:
            found[f"bias_ih_l{k}"], found[f"bias_hh_l{k}"] = layer.two_biases(order)
    return found
