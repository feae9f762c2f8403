"""Files of weights, opened by their ending; nothing is ever unpickled."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path

from rnnlab.app.config.memory_limit import format_gib, memory
from rnnlab.arrays import Array
from rnnlab.interop import Source, Tensor
from rnnlab.interop.npz_file import read_npz
from rnnlab.interop.safetensors_file import read_safetensors
from rnnlab.interop.source import short
from rnnlab.library.hdf5_files import read_hdf5, read_keras
from rnnlab.library.onnx_files import read_onnx
from rnnlab.paths import MAX_PATH_BYTES
from rnnlab.user_files import error_reason, user_file

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".npy", ".msgpack")
CONVERSION = (
    "{path}: may be a pickle, which rnnlab does not read; to convert a file that you trust:\n"
    'state = torch.load("{name}", map_location="cpu", weights_only=True)\n'
    'safetensors.torch.save_file({{k: v.contiguous() for k, v in state.items()}}, "{stem}.safetensors")'
)
MAX_REASON = 300
COPIES = 3
"""Number of copies of the weights: as read, in the order of rnnlab, and in the network."""


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
        source, available = reader(file), memory()
        return (
            source
            if available is None
            else replace(source, tensors=_within_memory(source.tensors, available))
        )
    except Exception as error:  # zipfile, h5py and onnx raise many types
        raise ValueError(
            f"{short(text, MAX_PATH_BYTES)}: cannot be read ({short(error_reason(error), MAX_REASON)})"
        ) from None


def _within_memory(tensors: Mapping[str, Tensor], available: int) -> dict[str, Tensor]:
    """Return tensors that are refused before they are read if the weights do not fit into the memory."""
    sizes: dict[str, int] = {}

    def read(name: str, tensor: Tensor) -> Array:
        sizes[name] = prod(tensor.shape) * (8 if tensor.dtype == "float64" else 4)
        if (needed := COPIES * sum(sizes.values())) > available:
            raise ValueError(
                f"{short(name)}: has the shape {tensor.shape}; the weights need {format_gib(needed)} of "
                f"memory, and this machine has {format_gib(available)}"
            )
        return tensor.read()

    return {
        name: Tensor(tensor.shape, tensor.dtype, partial(read, name, tensor))
        for name, tensor in tensors.items()
    }


READERS: dict[str, Callable[[Path], Source]] = {
    ".safetensors": read_safetensors,
    ".npz": read_npz,
    ".keras": read_keras,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".onnx": read_onnx,
}
