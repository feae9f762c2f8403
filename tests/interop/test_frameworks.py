"""Comparison with the frameworks themselves: `make test-interop` installs them."""

import numpy as np
import pytest

import rnnlab as rl
from tests.interop.models import CASES, B, H, X, inputs, keras_in, onnx_model, onnx_outputs

TIME = 100
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
NEEDED = {
    "torch": ("torch",),
    "keras": ("keras", "torch"),
    "flax": ("flax", "jax"),
    "onnx": ("onnx", "onnxruntime"),
}
pytestmark = pytest.mark.filterwarnings("ignore")
layouts = pytest.mark.parametrize("layout", CASES)
dtypes = pytest.mark.parametrize("dtype", TOLERANCES)


def cases_of(layout, dtype):
    for package in NEEDED[layout]:
        pytest.importorskip(package)
    cases = list(CASES[layout](TIME, dtype))
    assert len(cases) >= 4
    return cases


def network_of(layout, case, tmp_path):
    match layout:
        case "torch":
            return rl.from_torch(case.model)
        case "keras":
            return rl.from_keras(case.model)
        case "flax":
            return rl.from_flax(case.model, **case.keys)
    file = tmp_path / "model.onnx"
    file.write_bytes(case.model.SerializeToString())
    return rl.load(file, layout="onnx")


@layouts
@dtypes
def test_outputs(layout, dtype, tmp_path):
    worst = 0.0
    for case in cases_of(layout, dtype):
        net = network_of(layout, case, tmp_path)
        assert net.dtype == dtype and net.hidden == H and net.inputs == X
        error = np.abs(net.predict(case.x) - case.outputs).max()
        assert error <= TOLERANCES[dtype], (case.name, error)
        worst = max(worst, error)
    print(f"\n{layout} {dtype}: largest error {worst:.1e} over {TIME} time steps")


@layouts
@dtypes
def test_the_framework_accepts_the_exported_weights(layout, dtype, tmp_path):
    for case in cases_of(layout, dtype):
        net = network_of(layout, case, tmp_path)
        match layout:
            case "torch":
                import torch

                state = {name: torch.from_numpy(a) for name, a in net.to_torch_state_dict().items()}
                case.model.load_state_dict(state)
                with torch.no_grad():
                    y = case.model(torch.from_numpy(case.x.transpose(0, 2, 1).copy()))[0].numpy()
                outputs = y.transpose(0, 2, 1)
            case "keras":
                case.model.set_weights(net.to_keras_weights()[0])
                outputs = case.model(case.x.transpose(2, 0, 1)).detach().numpy().transpose(1, 2, 0)
            case "flax":
                import flax.linen as nn

                [tree] = net.to_flax_params()
                cell = getattr(nn, case.name)(H, dtype=dtype, param_dtype=dtype)
                y = nn.RNN(cell).apply({"params": {"cell": tree}}, case.x.transpose(2, 0, 1))
                outputs = np.asarray(y).transpose(1, 2, 0)
            case "onnx":
                node = case.model.graph.node[0]
                keys = {a.name: a for a in node.attribute}
                attributes = {}
                if "linear_before_reset" in keys:
                    attributes["linear_before_reset"] = keys["linear_before_reset"].i
                if "activations" in keys:
                    attributes["activations"] = ["Relu"]
                [arrays] = net.to_onnx_arrays()
                model = onnx_model(node.op_type, arrays, TIME, dtype, attributes)
                outputs = onnx_outputs(model, case.x)
        assert np.abs(outputs - case.outputs).max() <= TOLERANCES[dtype], case.name


@layouts
def test_the_framework_accepts_the_exported_readout(layout, tmp_path):
    for package in NEEDED[layout]:
        pytest.importorskip(package)
    net, x = rl.network("lstm", inputs=X, hidden=H, outputs=2), inputs(9, "float32")
    batch_first = x.transpose(2, 0, 1)
    match layout:
        case "torch":
            import torch

            model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(X, H), "fc": torch.nn.Linear(H, 2)})
            state = net.to_torch_state_dict(prefix="rnn", readout="fc")
            model.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
            with torch.no_grad():
                y = model["fc"](model["rnn"](torch.from_numpy(batch_first.transpose(1, 0, 2).copy()))[0])
            outputs, again = y.numpy().transpose(0, 2, 1), rl.from_torch(model, readout="fc")
        case "keras":
            keras = keras_in("float32")
            layers = [keras.layers.LSTM(H, return_sequences=True), keras.layers.Dense(2, name="head")]
            model = keras.Sequential([keras.Input((9, X)), *layers])
            for layer, weights in zip(model.layers, net.to_keras_weights(readout=True), strict=True):
                layer.set_weights(weights)
            outputs = model(batch_first).detach().numpy().transpose(1, 2, 0)
            again = rl.from_keras(model, readout=f"{model.name}/head")
        case "flax":
            import flax.linen as nn

            cell, dense = net.to_flax_params(readout=True)
            h = nn.RNN(nn.OptimizedLSTMCell(H)).apply({"params": {"cell": cell}}, batch_first)
            outputs = np.asarray(nn.Dense(2).apply({"params": dense}, h)).transpose(1, 2, 0)
            again = rl.from_flax({"rnn": cell, "head": dense}, readout="head")
        case "onnx":
            for is_gemm in (True, False):
                again, outputs = onnx_readout(net, x, is_gemm, tmp_path / "model.onnx")
                np.testing.assert_allclose(outputs, net.predict(x), atol=1e-6, rtol=0)
                same_bits(net, again)
    np.testing.assert_allclose(outputs, net.predict(x), atol=1e-6, rtol=0)
    same_bits(net, again)


def test_the_embedding_of_an_onnx_file(tmp_path):
    pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    model = onnx_model("LSTM", rl.network("lstm", inputs=X, hidden=H).to_onnx_arrays()[0], 5, "float32", {})
    rows = np.arange(5 * X, dtype=np.float32).reshape(5, X)
    model.graph.initializer.append(numpy_helper.from_array(rows, "words.weight"))
    model.graph.node.insert(0, helper.make_node("Gather", ["words.weight", "ids"], ["X"]))
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    assert rl.load(file, layout="onnx").possible_embeddings == ("words.weight",)
    np.testing.assert_array_equal(rl.load(file, layout="onnx", embedding="words").embedding, rows)


def same_bits(net, again):
    assert all(again.params[name].tobytes() == a.tobytes() for name, a in net.params.items())


def onnx_readout(net, x, is_gemm, file):
    """Return the network read from a model with a readout, and the outputs of the model, (T, Y, B)."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    layer, linear = net.to_onnx_arrays(readout=True)
    model = onnx_model("LSTM", layer, len(x), "float32", {})
    if is_gemm:
        linear["B"] = np.ascontiguousarray(linear["B"].T)
        flat = helper.make_node("Reshape", ["Y", "shape"], ["flat"])
        nodes = [flat, helper.make_node("Gemm", ["flat", "head.B", "head.C"], ["Z"], name="head", transB=1)]
    else:
        nodes = [helper.make_node("MatMul", ["Y", "head.B"], ["product"], name="head")]
        nodes.append(helper.make_node("Add", ["head.C", "product"], ["Z"]))
    graph = model.graph
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(a, f"head.{name}") for name, a in linear.items())
    graph.initializer.append(numpy_helper.from_array(np.array([-1, H]), "shape"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("Z", TensorProto.FLOAT, None))
    file.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (z,) = session.run(["Z"], {"X": np.ascontiguousarray(x.transpose(0, 2, 1))})
    again = rl.load(file, layout="onnx", readout="head")
    with pytest.raises(
        ValueError, match="readout='fc': fc/B: missing; linear layers that read 4 units: head"
    ):
        rl.load(file, layout="onnx", readout="fc")
    return again, z.reshape(len(x), B, 2).transpose(0, 2, 1)


def test_files_of_keras(tmp_path):
    for package in ("keras", "torch", "h5py"):
        pytest.importorskip(package)
    keras = keras_in("float32")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((10, X)),
            layers.LSTM(H, return_sequences=True, name="bottom"),
            layers.LSTM(H, return_sequences=True, name="top"),
            layers.Dense(2, name="head"),
        ]
    )
    x = inputs(10, "float32")
    outputs = model(x.transpose(2, 0, 1)).detach().numpy().transpose(1, 2, 0)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    keys = {"layout": "keras", "readout": "dense"}  # Keras numbers the layers of a file by class
    for file in ("m.keras", "m.weights.h5"):
        with pytest.raises(ValueError, match="several recurrent modules; pass prefix= one of ") as caught:
            rl.load(tmp_path / file, **keys)
        names = str(caught.value).rpartition("one of ")[2].split(", ")
        assert len(names) == 2, names
        net = rl.load(tmp_path / file, prefix=names, **keys)
        np.testing.assert_allclose(net.predict(x), outputs, atol=1e-6)
    own = rl.from_keras(
        model,
        prefix=[w.path.removesuffix("/kernel") for w in model.weights if w.path.endswith("cell/kernel")],
    )
    np.testing.assert_array_equal(own.params["l2.W_hh"], net.params["l2.W_hh"])
    words = keras.Sequential([keras.Input((10,)), layers.Embedding(7, X), layers.LSTM(H)])
    words.save(tmp_path / "words.keras")
    rows = rl.load(tmp_path / "words.keras", "keras", embedding="embedding").embedding
    np.testing.assert_array_equal(rows, words.layers[0].get_weights()[0])
    other = keras.Sequential([keras.Input((10, X)), layers.GRU(H, activation="relu", name="mine")])
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="mine: has activation=relu and recurrent_activation=sigmoid"):
        rl.load(tmp_path / "other.keras", "keras")
    with pytest.raises(
        ValueError, match="has activation=relu and recurrent_activation=sigmoid; must be tanh"
    ):
        layer = layers.LSTM(H, activation="relu")
        layer.build((B, 10, X))
        rl.from_keras(layer)


def test_links_of_hdf5_are_not_followed(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["lstm/recurrent_kernel"] = np.zeros((4, 16), np.float32)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["lstm"] = h5py.ExternalLink("other.h5", "/lstm")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        external = [(str(tmp_path / "secret"), 0, 16 * 4 * 4)]
        file.create_dataset("lstm/recurrent_kernel", (4, 16), "f4", external=external)
    layout = h5py.VirtualLayout((4, 16), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "lstm/recurrent_kernel", (4, 16))
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("lstm/recurrent_kernel", layout)
    for name, problem in (("link", "a link"), ("raw", "in another file"), ("virtual", "in another file")):
        with pytest.raises(ValueError, match=problem):
            rl.load(tmp_path / f"{name}.h5", layout="keras")


def test_onnx_refuses_what_it_cannot_read(tmp_path):
    pytest.importorskip("onnx")
    from onnx import TensorProto

    [case, *_] = cases_of("onnx", "float32")
    file = tmp_path / "model.onnx"

    def refused(problem, change):
        model = type(case.model)()
        model.CopyFrom(case.model)
        change(model.graph)
        file.write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match=problem) as caught:
            rl.load(file, layout="onnx")
        assert "\n" not in str(caught.value)

    def external(graph):
        graph.initializer[0].data_location = TensorProto.EXTERNAL
        graph.initializer[0].external_data.add(key="location", value="/etc/passwd")

    def peepholes(graph):
        graph.initializer.add().CopyFrom(graph.initializer[0])
        graph.initializer[-1].name = "P"
        graph.node[0].input.extend([""] * (7 - len(graph.node[0].input)) + ["P"])

    def reverse(graph):
        graph.node[0].attribute.add(name="direction", s=b"reverse", type=3)

    refused("in /etc/passwd, which is not opened", external)
    refused("the operator runs in reverse; pass direction='reverse'", reverse)
    refused("peepholes", peepholes)
    refused("computed by the graph", lambda graph: graph.initializer.pop())
    refused("attribute clip", lambda graph: graph.node[0].attribute.add(name="clip", f=1.0, type=1))
    file.write_bytes(b"no protobuf at all \xff\xff")
    with pytest.raises(ValueError, match=r"model\.onnx: cannot be read"):
        rl.load(file, layout="onnx")
