"""Files of weights, opened by their ending; nothing is ever unpickled."""

import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from rnnlab.arrays import Array
from rnnlab.interop import Source, Tensor
from rnnlab.interop.npz_file import read_npz
from rnnlab.interop.safetensors_file import read_safetensors
from rnnlab.interop.source import short
from rnnlab.library.framework_tensors import check_keras_config
from rnnlab.paths import MAX_PATH_BYTES
from rnnlab.user_files import error_reason, user_file

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npy", ".msgpack")
CONVERSION = (
    "{path}: may be a pickle, which rnnlab does not read; to convert a file that you trust:\n"
    'state = torch.load("{name}", map_location="cpu", weights_only=True)\n'
    'safetensors.torch.save_file({{k: v.contiguous() for k, v in state.items()}}, "{stem}.safetensors")'
)
MAX_REASON = 300
INSTALL = "pip install 'rnnlab[interop]'"
KERAS_CONFIG = "config.json"
KERAS_WEIGHTS = "model.weights.h5"


def open_weights(path: str | Path) -> Source:
    """Return the tensors of a file.

    Raises:
        ValueError: If the file cannot be read, or if its format is not supported.
    """
    text = str(path)
    reader = READERS.get(ending := Path(text).suffix.lower())
    if ending in PICKLES:
        name = short(Path(text).name)
        raise ValueError(
            CONVERSION.format(path=short(text, MAX_PATH_BYTES), name=name, stem=short(Path(text).stem))
        )
    if reader is None:
        raise ValueError(f"{short(text, MAX_PATH_BYTES)}: unknown ending; must be {', '.join(READERS)}")
    try:
        file = user_file(text)
        if not file.is_file():
            raise ValueError("not a file" if file.exists() else "no such file")
        return reader(file)
    except Exception as error:  # zipfile, h5py and onnx raise many types
        raise ValueError(
            f"{short(text, MAX_PATH_BYTES)}: cannot be read ({short(error_reason(error), MAX_REASON)})"
        ) from None


def _read_keras(path: Path) -> Source:
    """Return the weights of a .keras file; its configuration is searched for activation functions alone."""
    with zipfile.ZipFile(path) as archive:
        if KERAS_CONFIG in archive.namelist():
            check_keras_config(json.loads(archive.read(KERAS_CONFIG)))
        return _read_hdf5_file(BytesIO(archive.read(KERAS_WEIGHTS)))


def _read_hdf5(path: Path) -> Source:
    with path.open("rb") as file:
        return _read_hdf5_file(file)


def _read_hdf5_file(file: BinaryIO) -> Source:
    """Return the datasets of an HDF5 file by path; links, also those to other files, are not followed."""
    try:
        import h5py
    except ImportError:
        raise ValueError(f"requires h5py: {INSTALL}") from None
    tensors: dict[str, Any] = {}

    def visit(group: Any, prefix: str, depth: int) -> None:
        if depth > 50:
            raise ValueError("groups are nested more than 50 levels deep")
        for name in group:
            path = f"{prefix}{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path}: a link, which is not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                visit(item, f"{path}/", depth + 1)
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise ValueError(f"{path}: has its values in another file, which is not opened")
                tensors[path] = (
                    Tensor.of(item[()])
                    if item.dtype.kind == "f"
                    else Tensor(item.shape, str(item.dtype), _unread)
                )

    with h5py.File(file, "r") as opened:
        visit(opened, "", 0)
    return Source(keras_names(tensors))


def _unread() -> Array:
    raise ValueError("not a real number")


def keras_names(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return tensors under the names of their variables; Keras 3 numbers the variables in its files.

    >>> sorted(keras_names({"layers/lstm/cell/vars/0": 1, "layers/dense/vars/1": 2, "a/kernel:0": 3}))
    ['a/kernel', 'dense/bias', 'lstm/kernel']
    """
    found = {}
    for path, tensor in tensors.items():
        parent, _, number = path.removesuffix(":0").rpartition("/vars/")
        if not parent:
            found[path.removesuffix(":0")] = tensor
            continue
        names: tuple[str, ...] = ("kernel", "bias")
        if parent.endswith("cell"):
            names = ("kernel", "recurrent_kernel", "bias")
        elif parent.rpartition("/")[2].startswith("embedding"):
            names = ("embeddings",)
        name = names[int(number)] if number in ("0", "1", "2")[: len(names)] else f"variable_{number}"
        found[f"{parent.removeprefix('layers/').removesuffix('/cell')}/{name}"] = tensor
    return found


def _read_onnx(path: Path) -> Source:
    """Return the weights and attributes of the recurrent operators of an ONNX model, by operator."""
    try:
        import onnx
    except ImportError:
        raise ValueError(f"requires onnx: {INSTALL}") from None
    graph = onnx.load_model_from_string(path.read_bytes()).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    tensors, facts = _onnx_matrices(graph, constants), {}
    for number, node in enumerate(graph.node):
        if node.op_type not in ("RNN", "LSTM", "GRU"):
            continue
        name = _onnx_name(node, number)
        inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input, strict=False))
        for part in "WRBP":
            if value := inputs.get(part):
                if value not in constants:
                    raise ValueError(f"{name}: {part} is computed by the graph; must be a constant")
                tensors[f"{name}/{part}"] = Tensor.of(_onnx_array(constants[value]))
        facts[name] = _onnx_facts(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute})
    return Source(tensors, facts)


def _onnx_name(node: Any, number: int) -> str:
    return node.name or f"{node.op_type}_{number}"


def _onnx_array(tensor: Any) -> Array:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        raise ValueError(f"{tensor.name}: has its values in another file, which is not opened")
    found: Array = numpy_helper.to_array(tensor)
    return found


def _onnx_matrices(graph: Any, constants: Mapping[str, Any]) -> dict[str, Tensor]:
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
            found[node.input[0]] = _onnx_matrix(constants[node.input[0]], False, True)
        if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in constants:
            continue
        name, attributes = _onnx_name(node, number), {a.name: a for a in node.attribute}
        is_plain = all(attributes[key].f == 1 for key in ("alpha", "beta") if key in attributes)
        is_plain = is_plain and not ("transA" in attributes and attributes["transA"].i)
        turned = "transB" in attributes and bool(attributes["transB"].i)
        found[f"{name}/B"] = _onnx_matrix(constants[node.input[1]], turned, is_plain)
        biases = list(node.input[2:3])
        after = readers.get(node.output[0], [])
        if node.op_type == "MatMul" and len(after) == 1 and after[0].op_type == "Add":
            biases = [name for name in after[0].input if name != node.output[0]]
        for bias in biases:
            if bias in constants:
                found[f"{name}/C"] = _onnx_matrix(constants[bias], False, is_plain)
    return found


def _onnx_matrix(tensor: Any, is_transposed: bool, is_plain: bool) -> Tensor:
    """Return a constant of a linear operator, whose values are converted when they are needed."""
    from onnx.helper import tensor_dtype_to_np_dtype

    def read() -> Array:
        if not is_plain:
            raise ValueError("alpha, beta, transA: must be 1, 1 and 0")
        found = _onnx_array(tensor)
        return found.T if is_transposed else found

    shape = tuple(tensor.dims)
    dtype = str(tensor_dtype_to_np_dtype(tensor.data_type))
    return Tensor(shape[::-1] if is_transposed else shape, dtype, read)


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


READERS: dict[str, Callable[[Path], Source]] = {
    ".safetensors": read_safetensors,
    ".npz": read_npz,
    ".keras": _read_keras,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".onnx": _read_onnx,
}
