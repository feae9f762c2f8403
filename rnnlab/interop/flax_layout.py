"""Layout of the flax.linen cells SimpleCell, LSTMCell, OptimizedLSTMCell and GRUCell.

Each gate has a matrix of its own, which multiplies from the right:

| cell | inputs, `kernel` (X, H) | state, `kernel` (H, H) | `bias` (H,) |
|---|---|---|---|
| SimpleCell | `i` | `h` | `i` |
| LSTMCell, OptimizedLSTMCell | `ii`, `if`, `ig`, `io` | `hi`, `hf`, `hg`, `ho` | those of the state |
| GRUCell | `ir`, `iz`, `in` | `hr`, `hz`, `hn` | those of the inputs, and `hn` |
"""

from collections.abc import Sequence

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.keras_layout import read_readout, write_readout
from rnnlab.interop.source import Source, children
from rnnlab.interop.weights import Choices, LayerWeights, assemble, choose, options_of, refuse_cells

__all__ = ["HAS_LAYERS", "find", "read", "read_readout", "write", "write_readout"]

HAS_LAYERS = False
LETTERS = {
    "lstm": {"o": "o", "i": "i", "f": "f", "g": "g"},
    "gru": {"r": "r", "u": "z", "n": "n"},
    "rnn": {"h": ""},
}
"""Letter of each gate in the names, by its name in rnnlab."""
EXAMPLE = "cell/hi/kernel"


def _blocks(cell: str) -> list[str]:
    return [side + letter for side in "ih" for letter in LETTERS[cell].values()]


def _biased(cell: str) -> list[str]:
    letters = list(LETTERS[cell].values())
    return (
        [f"h{letter}" for letter in letters]
        if cell == "lstm"
        else [f"i{letter}" for letter in letters] + ["hn"] * (cell == "gru")
    )


def find(source: Source) -> list[str]:
    """Return the prefixes of the cells, without the final slash."""
    found = set()
    for name in source.tensors:
        for cell in LETTERS:
            first, *others = _blocks(cell)[::-1]
            end = f"{first}/kernel"
            if name == end or name.endswith(f"/{end}"):
                start = name.removesuffix(end)
                if cell != "rnn" or f"{start}{others[0]}/kernel" in source.tensors:
                    found.add(start.removesuffix("/"))
    return sorted(found)


def read(source: Source, prefix: str, choices: Choices) -> list[LayerWeights]:
    """Return the weights of one cell.

    Raises:
        ValueError: If the tensors do not fit a cell.
    """
    start = f"{prefix}/" if choose(find(source), prefix, EXAMPLE) else ""
    below = [
        name[len(start) :]
        for name in source.tensors
        if name.startswith(start) and name.count("/") == start.count("/") + 1
    ]
    present = {name.partition("/")[0] for name in below}
    cell = max(LETTERS, key=lambda cell: len(present & set(_blocks(cell))))
    kernels = {block: f"{start}{block}/kernel" for block in _blocks(cell)}
    biases = {block: f"{start}{block}/bias" for block in _biased(cell)}
    expected = [*kernels.values(), *biases.values()]
    own = [name for name in below if prefix or name.partition("/")[0] in {*kernels, *biases}]
    source.refuse_others([start + name for name in (*own, *children(source.tensors, prefix, "/"))], expected)
    letters = LETTERS[cell]
    H = source.shape(kernels[_blocks(cell)[-1]], 2)[0]
    X = source.shape(kernels[_blocks(cell)[0]], 2)[0]

    def stacked(side: str, size: int) -> Array:
        return np.concatenate(
            [source.array(kernels[side + letter], (size, H)).T for letter in letters.values()]
        )

    W_xh, W_hh = stacked("i", X), stacked("h", H)
    pair: tuple[Array, Array | None] | None = None
    if any(name in source.tensors for name in biases.values()):
        values = {block: source.array(name, (H,)) for block, name in biases.items()}
        zeros = np.zeros(H, W_xh.dtype)
        first, second = (
            np.concatenate([values.get(side + letter, zeros) for letter in letters.values()]) for side in "ih"
        )
        pair = (second, None) if cell == "lstm" else (first, second if cell == "gru" else None)
    facts = Source(source.tensors, {prefix: {**source.facts.get(prefix, {}), "reset_after": True}})
    options = options_of(cell, facts, prefix, choices)
    name = kernels[_blocks(cell)[0]]
    return [assemble({cell: tuple(letters)}, cell, W_xh, W_hh, pair, options, name)]


def write(layers: Sequence[LayerWeights]) -> list[dict[str, dict[str, Array]]]:
    """Return the parameters of each cell.

    Raises:
        ValueError: If flax has no such cell.
    """
    refuse_cells(layers, "flax", ("tanh", "relu", "identity"), before=False)
    found = []
    for layer in layers:
        letters = LETTERS[layer.cell]
        tree: dict[str, dict[str, Array]] = {}
        for side, name in (("i", "W_xh"), ("h", "W_hh")):
            for letter, block in zip(
                letters.values(), np.split(layer.params[name], len(letters)), strict=True
            ):
                tree[side + letter] = {"kernel": np.ascontiguousarray(block.T)}
        if layer.has_bias:
            side = "h" if layer.cell == "lstm" else "i"
            for letter, block in zip(
                letters.values(), np.split(layer.params["b_h"][:, 0], len(letters)), strict=True
            ):
                tree[side + letter]["bias"] = block.copy()
        if "b_hn" in layer.params:
            tree["hn"]["bias"] = layer.params["b_hn"][:, 0].copy()
        found.append(tree)
    return found
