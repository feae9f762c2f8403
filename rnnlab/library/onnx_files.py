"""Weights and attributes of the recurrent operators of ONNX models."""

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.app.config.memory_limit import format_gib
from rnnlab.arrays import Array
from rnnlab.interop import Source, Tensor
from rnnlab.interop.source import short
from rnnlab.library.hdf5_files import INSTALL

MAX_BYTES = 2**31 - 1
"""Maximum size of a message of protobuf."""


def read_onnx(path: Path) -> Source:
    """Return the weights and attributes of the recurrent operators of an ONNX model, by operator.

    The model is read whole, because protobuf cannot do otherwise; its size is checked first. Weights that the
    model keeps in other files of its folder are read only when they are needed.

    Raises:
        ValueError: If onnx is not installed, or if the model cannot be read.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise ValueError(
            f"has {format_gib(size)}, but an ONNX model has at most {format_gib(MAX_BYTES)}; "
            "save its weights as external data"
        )
    try:
        import onnx
    except ImportError:
        raise ValueError(f"requires onnx: {INSTALL}") from None
    graph = onnx.load_model_from_string(path.read_bytes()).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    tensors, facts = _linear_layers(graph, constants, path.parent), {}
    for number, node in enumerate(graph.node):
        if node.op_type not in ("RNN", "LSTM", "GRU"):
            continue
        name = _name(node, number)
        inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input, strict=False))
        for part in "WRBP":
            if value := inputs.get(part):
                if value not in constants:
                    raise ValueError(f"{name}: {part} is computed by the graph; must be a constant")
                tensors[f"{name}/{part}"] = _tensor(constants[value], path.parent)
        facts[name] = _onnx_facts(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
    return Source(tensors, facts)


def _name(node: Any, number: int) -> str:
    return node.name or f"{node.op_type}_{number}"


def _tensor(constant: Any, folder: Path, is_transposed: bool = False, is_plain: bool = True) -> Tensor:
    """Return a constant, whose values are converted when they are needed."""
    from onnx import TensorProto, helper, numpy_helper

    shape, dtype = tuple(constant.dims), str(helper.tensor_dtype_to_np_dtype(constant.data_type))
    read: Callable[[], Array] = partial(numpy_helper.to_array, constant)
    if constant.data_location == TensorProto.EXTERNAL:
        read = _external(folder, constant).read
    if not is_plain:
        read = _refuse_factors
    return Tensor(shape[::-1], dtype, lambda: read().T) if is_transposed else Tensor(shape, dtype, read)


def _refuse_factors() -> Array:
    raise ValueError("alpha, beta, transA: must be 1, 1 and 0")


def _linear_layers(graph: Any, constants: Mapping[str, Any], folder: Path) -> dict[str, Tensor]:
    """Return the constants of linear operators and of embeddings.

    Those of a Gemm operator, or of a MatMul operator with the Add that follows, are named B and C; the table
    of a Gather operator keeps its name.
    """
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = {}
    for number, node in enumerate(graph.node):
        if node.op_type == "Gather" and node.input[0] in constants:  # an embedding
            found[node.input[0]] = _tensor(constants[node.input[0]], folder)
        if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in constants:
            continue
        name, attributes = _name(node, number), {a.name: a for a in node.attribute}
        is_plain = all(attributes[key].f == 1 for key in ("alpha", "beta") if key in attributes)
        is_plain = is_plain and not ("transA" in attributes and attributes["transA"].i)
        turned = "transB" in attributes and bool(attributes["transB"].i)
        found[f"{name}/B"] = _tensor(constants[node.input[1]], folder, turned, is_plain)
        biases = list(node.input[2:3])
        after = readers.get(node.output[0], [])
        if node.op_type == "MatMul" and len(after) == 1 and after[0].op_type == "Add":
            biases = [name for name in after[0].input if name != node.output[0]]
        for bias in biases:
            if bias in constants:
                found[f"{name}/C"] = _tensor(constants[bias], folder, False, is_plain)
    return found


def _onnx_facts(node: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the attributes of an operator state, or raise ValueError if rnnlab has no such cell."""
    names = [text.decode().lower() for text in attributes.get("activations", [])]
    direction = attributes.get("direction", b"forward").decode()
    facts: dict[str, Any] = {} if direction == "bidirectional" else {"direction": direction}
    usual = {"RNN": ["tanh"], "GRU": ["sigmoid", "tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}[node.op_type]
    if node.op_type == "RNN":
        functions = {"tanh": "tanh", "relu": "relu"}
        kinds = {functions.get(name) for name in names or usual}
        if None in kinds or len(kinds) > 1:
            raise ValueError(f"{node.name}: has the activations {names}; must be tanh or relu")
        facts["nonlinearity"] = kinds.pop()
    elif names and names != usual * (len(names) // len(usual)):
        raise ValueError(f"{node.name}: has the activations {names}; must be {usual}")
    if node.op_type == "GRU":
        facts["reset_after"] = bool(attributes.get("linear_before_reset", 0))
    for key in ("clip", "input_forget"):
        if attributes.get(key):
            raise ValueError(f"{node.name}: has the attribute {key}, which is not supported")
    return facts


def _external(folder: Path, tensor: Any) -> Tensor:
    """Return a tensor whose values are in another file, after a check of its place and size.

    The file must be a regular file in the folder of the model itself, and no link.
    """
    from onnx import helper

    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, name = entries.get("location", ""), short(tensor.name)
    file = folder / location
    if location in ("", ".", "..") or Path(location).name != location or "\\" in location:
        raise ValueError(
            f"{name}: has its values in {short(location) or 'no file'}, which is not opened; must be a file "
            "in the folder of the model"
        )
    if file.is_symlink() or not file.is_file():
        raise ValueError(f"{name}: has its values in {short(location)}, which is not a file beside the model")
    dtype, shape = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)), tuple(tensor.dims)
    needed, available = prod(shape) * dtype.itemsize, file.stat().st_size
    start, length = (
        _number(entries.get(key), default) for key, default in (("offset", 0), ("length", needed))
    )
    if length != needed or not 0 <= start <= available - needed:
        raise ValueError(
            f"{name}: has {needed} bytes, but its entry has {length} bytes from {start} on in "
            f"{short(location)}, which has {available}"
        )
    return Tensor(shape, str(dtype), partial(_read, file, start, dtype, shape))


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    return int(text) if text.isdecimal() and len(text) < 20 else -1


def _read(file: Path, start: int, dtype: Any, shape: tuple[int, ...]) -> Array:
    with file.open("rb") as opened:
        values = np.fromfile(opened, dtype.newbyteorder("<"), prod(shape), offset=start)
    return values.astype(dtype).reshape(shape)
