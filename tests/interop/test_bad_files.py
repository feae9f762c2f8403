"""Files that are damaged, lie or contain code: one line of ValueError, and nothing is unpickled."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnlab as rl
from rnnlab.library.weight_files import open_weights
from tests.security.promises import keeps

H = 2
SHAPES = {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, H), "bias_ih_l0": (8,), "bias_hh_l0": (8,)}
TENSORS = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}


class Trap:
    """An object whose unpickling leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def header_of(tensors):
    header, start = {}, 0
    for name, a in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(a.shape), "data_offsets": [start, start + a.nbytes]}
        start += a.nbytes
    return header


def write(path, header):
    data = b"".join(a.tobytes() for a in TENSORS.values())
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content + data)
    return path


def refusal(path, layout="torch", **keys):
    with pytest.raises(ValueError) as caught:
        rl.load(path, layout, **keys)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500 + len(str(path))
    return str(caught.value)


def test_a_correct_header_is_read(tmp_path):
    net = rl.load(write(tmp_path / "w.safetensors", header_of(TENSORS)), "torch")
    assert (net.cell, net.inputs, net.hidden) == ("lstm", 3, 2)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data_offsets": [0, 10**9]}, "has the offsets 0 to 1000000000, but the file has 224 bytes of data"),
        ({"data_offsets": [96, 0]}, "has the offsets 96 to 0"),
        ({"shape": [8, 4]}, "has 96 bytes, but 32 elements of type float32"),
        ({"shape": [2**60, 2**60]}, "damaged header"),
        ({"shape": [2**50, 2**50]}, "has 96 bytes, but "),
        ({"shape": [-8, -3]}, "damaged header"),
        ({"shape": [8, 3.0]}, "damaged header"),
        ({"shape": [True, 24]}, "damaged header"),
        ({"dtype": "F64"}, "has 96 bytes, but 24 elements of type float64"),
        ({"dtype": "I32"}, "has the data type I32; must be float32"),
        ({"dtype": None}, "damaged header"),
        ({"data_offsets": [0]}, "damaged header"),
    ],
)
def test_a_header_with_false_sizes(change, problem, tmp_path):
    header = header_of(TENSORS)
    header["weight_ih_l0"] |= change
    assert problem in refusal(write(tmp_path / "w.safetensors", header))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": {}, "a": {}}', b"\xff", b"[" * 100_000, b"9" * 5000]
)
def test_an_invalid_header(content, tmp_path):
    assert "w.safetensors: cannot be read (" in refusal(write(tmp_path / "w.safetensors", content))


def test_a_header_longer_than_the_file(tmp_path):
    path = tmp_path / "w.safetensors"
    for length in (2**63, 10**9, 100):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        assert "not a safetensors file" in refusal(path)
    path.write_bytes(b"abc")
    assert "not a safetensors file" in refusal(path)


def test_only_the_needed_tensors_of_a_huge_file_are_read(tmp_path):
    path, size = tmp_path / "huge.safetensors", 10 * 2**30
    header = header_of(TENSORS)
    header["other.weight"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [224, 224 + size]}
    write(path, header)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)  # a sparse file
    assert rl.load(path, "torch").hidden == H


def test_an_onnx_model_beyond_the_limit_of_protobuf_is_not_read(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # a sparse file
    assert "has 10 GiB, but an ONNX model has at most 2 GiB; save its weights" in refusal(path, "onnx")


def test_weights_beyond_the_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path, rows, hidden = tmp_path / "w.safetensors", 2**14, 2**12
    header = {
        "weight_ih_l0": {"dtype": "F32", "shape": [rows, 1], "data_offsets": [0, 4 * rows]},
        "weight_hh_l0": {"dtype": "F32", "shape": [rows, hidden], "data_offsets": [0, 4 * rows * hidden]},
    }
    write(path, header)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 4 * rows * hidden)  # a sparse file
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: 2**29)
    problem = "weight_hh_l0: has the shape (16384, 4096); the weights need 0.75 GiB of memory, and this machine has 0.5"
    assert problem in refusal(path)
    write(path, header_of(TENSORS))
    needed = 3 * sum(a.nbytes for a in TENSORS.values())
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: needed - 1)
    assert "bias_hh_l0: has the shape (8,)" in refusal(path)
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: needed)
    assert rl.load(path, "torch").hidden == H


@pytest.mark.parametrize(("dtype", "size"), [("float16", 4), ("float32", 4), ("float64", 8)])
def test_the_memory_is_that_of_the_weights_that_are_read_each_once(dtype, size, tmp_path, monkeypatch):
    """Numbers of half precision are stored as float32; tensors that are not read need no memory."""
    path, needed = tmp_path / "w.npz", 3 * size * (12 + 5)
    np.savez(path, a=np.ones((3, 4), dtype), b=np.ones(5, dtype), other=np.ones(1000, dtype))
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: needed)
    tensors = open_weights(path).tensors
    assert [tensors[name].read().shape for name in ("a", "b", "a", "b")] == [(3, 4), (5,)] * 2
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: needed - 1)
    tensors = open_weights(path).tensors
    tensors["a"].read()
    with pytest.raises(ValueError, match=r"^b: has the shape \(5,\); the weights need"):
        tensors["b"].read()


@keeps("nothing-unpickled")
@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt", "pkl", "npy"])
def test_pickles_are_refused_with_the_lines_that_convert_them(ending, tmp_path):
    path = tmp_path / f"model.{ending}"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
    with pytest.raises(ValueError, match="may be a pickle, which rnnlab does not read") as caught:
        rl.load(path, "torch")
    first, load, save = str(caught.value).splitlines()
    assert f'torch.load("model.{ending}", map_location="cpu", weights_only=True)' in load
    assert save.endswith('"model.safetensors")') and first.startswith(str(path)[:40])
    assert not (tmp_path / "trap").exists()


@keeps("nothing-unpickled")
@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l0", "other"])
def test_objects_in_an_npz_are_not_unpickled(name, tmp_path):
    objects = np.empty((8, 2), object)
    objects[:] = Trap(tmp_path / "trap")
    np.savez(tmp_path / "w.npz", **(TENSORS | {name: objects}))
    if name == "other":
        assert "other: unexpected" in refusal(tmp_path / "w.npz")
    else:
        assert "has the data type object" in refusal(tmp_path / "w.npz") or name == "weight_ih_l0"
    for wrong in ("keras", "h5", "onnx", "safetensors"):
        path = tmp_path / f"w.{wrong}"
        path.write_bytes(pickle.dumps(Trap(tmp_path / "trap")))
        refusal(path)
    assert not (tmp_path / "trap").exists()


def test_an_npz_file_with_a_false_header(tmp_path):
    path = tmp_path / "w.npz"
    np.savez(path, **TENSORS)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["weight_hh_l0.npy"] = members["weight_hh_l0.npy"].replace(b"(8, 2)", b"(8,2000)"[:6])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    refusal(path)
    for member, content in (("a.txt", b""), ("a.npy", b"\x93NUMPY\x09\x00"), ("a.npy", b"")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, content)
        refusal(path)


@keeps("files-of-this-machine")
@pytest.mark.parametrize(
    "path", ["https://host/w.safetensors", "s3://bucket/w.npz", r"\\host\w.npz", "memory:w.npz"]
)
def test_addresses_are_refused(path):
    assert "a URL or network path" in refusal(path)


@keeps("files-of-this-machine")
def test_pipes_folders_and_missing_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    assert "not a regular file" in refusal(tmp_path / "pipe.npz")
    assert "not a file" in refusal(tmp_path / "folder.npz")
    assert "no such file" in refusal(tmp_path / "absent.npz")
    assert "unknown ending; must be .safetensors, .npz" in refusal(tmp_path / "weights.json")


@pytest.mark.parametrize(("ending", "package"), [("h5", "h5py"), ("keras", "h5py"), ("onnx", "onnx")])
def test_a_missing_package_is_reported(ending, package, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / f"w.{ending}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", b"")
    expected = f"cannot be read (requires {package}: pip install 'rnnlab[interop]')"
    assert refusal(path, "keras").endswith(expected)


NAMES = st.sampled_from([*SHAPES, "weight_hr_l0", "weight_hh_l1", "weight_ih_l0_reverse", "a.b", ""])
SIZES = st.lists(st.integers(0, 9), max_size=3).map(tuple)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(
    shapes=st.dictionaries(NAMES, SIZES, max_size=6),
    dropped=st.sets(NAMES, max_size=2),
    value=st.floats(width=32),
)
def test_any_tensors_give_a_network_or_one_line(shapes, dropped, value):
    tensors = {name: a for name, a in TENSORS.items() if name not in dropped}
    tensors |= {name: np.full(shape, value, np.float32) for name, shape in shapes.items()}
    for read in (rl.from_torch, rl.from_keras, rl.from_flax):
        try:
            net = read(tensors, nonlinearity="tanh")
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert all(np.isfinite(a).all() for a in net.params.values())


@settings(max_examples=100, deadline=None)
@given(
    name=NAMES,
    entry=ANY_JSON,
    field=st.sampled_from(["dtype", "shape", "data_offsets", None]),
    cut=st.integers(0, 300),
)
def test_any_header_gives_a_network_or_one_line(name, entry, field, cut, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    header = header_of(TENSORS)
    if field is None:
        header[name] = entry
    else:
        header.setdefault(name, {"dtype": "F32", "shape": [], "data_offsets": [0, 4]})[field] = entry
    write(path, header)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
    try:
        assert isinstance(rl.load(path, "torch"), rl.Network)
    except ValueError as error:
        assert "\n" not in str(error)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_of_an_npz_gives_a_network_or_one_line(data, tmp_path_factory):
    path = Path(tmp_path_factory.getbasetemp() / "any.npz")
    np.savez(path, **TENSORS)
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert isinstance(rl.load(path, "torch"), rl.Network)
    except ValueError as error:
        assert "\n" not in str(error)
