"""Weights of other frameworks: names, shapes and gate orders, and files; imports no framework.

Each layout is a module with `find`, which returns the prefixes of the recurrent modules in a file, `read`,
which returns the weights of their layers in the order of rnnlab, `read_readout`, and `write` and
`write_readout`, their inverses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rnnlab.arrays import Array
from rnnlab.interop import flax_layout, keras_layout, onnx_layout, torch_layout
from rnnlab.interop.source import Source, Tensor
from rnnlab.interop.weights import Choices, LayerWeights

__all__ = ["LAYOUTS", "Choices", "LayerWeights", "Layout", "Source", "Tensor"]


@dataclass(frozen=True)
class Layout:
    """Functions of one layout.

    Attributes:
        find: Function that returns the prefixes of the recurrent modules, given the tensors.
        read: Function that returns the layers of one module.
        write: Inverse of `read`.
        read_readout: Function that returns the matrix (Y, H) and the bias (Y, 1), or None, of a readout.
        write_readout: Inverse of `read_readout`; returns tensors by name.
        has_layers: True if a module may have several layers.
    """

    find: Callable[[Source], list[str]]
    read: Callable[[Source, str, Choices], list[LayerWeights]]
    write: Callable[[Sequence[LayerWeights]], Any]
    read_readout: Callable[[Source, str], tuple[Array, Array | None]]
    write_readout: Callable[[Array, Array | None], dict[str, Array]]
    has_layers: bool


LAYOUTS = {
    name: Layout(
        module.find,
        module.read,
        module.write,
        module.read_readout,
        module.write_readout,
        module.HAS_LAYERS,
    )
    for name, module in (
        ("torch", torch_layout),
        ("keras", keras_layout),
        ("flax", flax_layout),
        ("onnx", onnx_layout),
    )
}
