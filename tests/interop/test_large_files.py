"""HDF5, .keras and ONNX files larger than the memory: only what is needed is read, and values stay inside the folder."""

import struct
import zipfile

import numpy as np
import pytest

import rnnlab as rl
from tests.interop.models import B, X, inputs, onnx_cases

SIZE = 10 * 2**30
KERAS = {"kernel": (X, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.standard_normal(shape).astype("f4") for name, shape in KERAS.items()}


def huge_hdf5(path, size=SIZE):
    """Write an LSTM beside a dataset that is never written, so that the file is sparse."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, a in WEIGHTS.items():
            file[f"lstm/{name}"] = a
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        create.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((size // 4,))
        h5py.h5d.create(file.id, b"other", h5py.h5t.IEEE_F32LE, space, create)
    return path


def test_only_the_needed_datasets_of_a_huge_hdf5_file_are_read(tmp_path):
    path = huge_hdf5(tmp_path / "huge.h5")
    assert path.stat().st_size > SIZE
    net = rl.load(path, "keras")
    np.testing.assert_array_equal(net.params["W_xh"], rl.from_keras(list(WEIGHTS.values())).params["W_xh"])


def test_only_the_needed_datasets_of_a_huge_keras_file_are_read(tmp_path):
    """The archive is written by hand, so that the file stays sparse."""
    size = 3 * 2**30  # sizes of 4 GiB and more have another form
    source = huge_hdf5(tmp_path / "m.h5", size)
    name, length = b"model.weights.h5", source.stat().st_size
    common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, length, length, len(name), 0)
    path = tmp_path / "huge.keras"
    with path.open("wb") as file, source.open("rb") as own:
        file.write(b"PK\3\4" + common + name)
        start = file.tell()
        for place in (0, length - 2**20):  # all that is not empty
            own.seek(place)
            file.seek(start + place)
            file.write(own.read(2**20))
        end = file.seek(start + length)
        entry = b"PK\1\2" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
        file.write(entry + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), end, 0))
    assert zipfile.ZipFile(path).getinfo("model.weights.h5").file_size == length
    np.testing.assert_array_equal(
        rl.load(path, "keras").params["b_h"], rl.load(source, "keras").params["b_h"]
    )


def test_a_compressed_keras_file_is_read_if_it_fits_into_memory(tmp_path, monkeypatch):
    source, path = huge_hdf5(tmp_path / "m.h5", 2**22), tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, "model.weights.h5")
    assert rl.load(path, "keras").hidden == 4
    monkeypatch.setattr("rnnlab.library.hdf5_files.memory", lambda: 2**22)
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is compressed and needs .* of memory; this"):
        rl.load(path, "keras")


def test_datasets_beyond_the_memory_or_without_values_are_refused(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    hidden = 2**14
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["lstm/kernel"] = np.ones((1, 4 * hidden), "f4")
        file.create_dataset("lstm/recurrent_kernel", (hidden, 4 * hidden), "f4")
    with pytest.raises(ValueError, match="recurrent_kernel: has no values"):
        rl.load(tmp_path / "w.h5", "keras")
    monkeypatch.setattr("rnnlab.library.weight_files.memory", lambda: 2**33)
    with pytest.raises(ValueError, match=r"recurrent_kernel: .* the weights need 12 GiB of memory, and this"):
        rl.load(tmp_path / "w.h5", "keras")


@pytest.fixture
def external(tmp_path):
    """Return the path of a model with its weights in a sparse file of 10 GiB beside it, and its outputs."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    case, *_ = onnx_cases(12, "float32")
    place = SIZE - 2**20
    with (tmp_path / "weights.data").open("wb") as file:
        file.truncate(SIZE)
        for tensor in case.model.graph.initializer:
            data = onnx.numpy_helper.to_array(tensor).tobytes()
            file.seek(place)
            file.write(data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", "weights.data"), ("offset", place), ("length", len(data))):
                tensor.external_data.add(key=key, value=str(value))
            place += len(data)
    path = tmp_path / "model.onnx"
    path.write_bytes(case.model.SerializeToString())
    return path, case


def test_external_data_are_read_from_their_file(external):
    path, case = external
    np.testing.assert_allclose(rl.load(path, "onnx").predict(inputs(12, "float32")), case.outputs, atol=1e-6)
    assert case.outputs.shape[-1] == B


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("location", "../weights.data", "is not opened; must be a file in the folder of the model"),
        ("location", "/etc/passwd", "is not opened; must be a file in the folder of the model"),
        ("location", "link", "has its values in link, which is not a file beside the model"),
        ("location", "missing", "has its values in missing, which is not a file beside the model"),
        ("location", "..", "is not opened"),
        ("offset", str(SIZE), "bytes from 10737418240 on in weights.data, which has 10737418240"),
        ("offset", "-1", "bytes from -1 on"),
        ("length", "8", "has 192 bytes, but its entry has 8 bytes"),
        ("length", "x", "has 192 bytes, but its entry has -1 bytes"),
    ],
)
def test_external_data_elsewhere_are_refused_in_one_line(key, value, problem, external):
    path, case = external
    (path.parent / "link").symlink_to("/etc/passwd")
    (path.parent.parent / "weights.data").write_bytes(b"")
    [entry] = [one for one in case.model.graph.initializer[0].external_data if one.key == key]
    entry.value = value
    path.write_bytes(case.model.SerializeToString())
    with pytest.raises(ValueError, match=problem) as caught:
        rl.load(path, "onnx")
    assert "\n" not in str(caught.value)
