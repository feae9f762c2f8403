"""Weights of the fixtures, which the frameworks themselves made: outputs, round trips and what is asked for."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rnnlab as rl
from rnnlab.interop import LAYOUTS, Choices, Source
from rnnlab.library.hdf5_files import keras_names

FIXTURES = Path(__file__).parent / "fixtures"
READERS = {"torch": rl.from_torch, "keras": rl.from_keras, "flax": rl.from_flax}
WRITERS = {"torch": "to_torch_state_dict", "keras": "to_keras_weights", "flax": "to_flax_params"}


def models(layout):
    return sorted(
        name[2:] for name in np.load(FIXTURES / f"{layout}.npz", allow_pickle=False) if name[:2] == "y "
    )


def keys_of(layout, name):
    keys = {}
    if "rnn" in name or name == "SimpleCell":
        keys["nonlinearity"] = "relu" if "relu" in name else "tanh"
    if name in ("gru_after", "gru_before") or (layout == "onnx" and "gru" in name):
        keys["reset_after"] = "after" in name
    return keys


CASES = [(layout, name) for layout in ("torch", "keras", "flax", "onnx") for name in models(layout)]


def network(layout, name, **keys):
    file = FIXTURES / f"{layout}.npz"
    return rl.load(file, layout=layout, prefix=name, **(keys_of(layout, name) | keys))


@pytest.mark.parametrize(("layout", "name"), CASES)
def test_outputs_equal_those_of_the_framework(layout, name):
    net = network(layout, name)
    with np.load(FIXTURES / f"{layout}.npz", allow_pickle=False) as arrays:
        x, expected = arrays["x"], arrays[f"y {name}"]
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-6, rtol=0)
    assert (net.inputs, net.hidden, net.outputs, net.dtype) == (3, 4, 4, "float32")
    assert net.layers == (int(name.strip("b")[-1]) if layout == "torch" else 1)
    gradient = net.lag_curve(x[:4]).frame.query("quantity == 'state' and lag > 0")
    assert np.isfinite(gradient["log10_gmean"]).all()


def same(net, again):
    assert set(net.params) == set(again.params)
    for name, array in net.params.items():
        assert array.dtype == again.params[name].dtype
        assert array.tobytes() == again.params[name].tobytes(), name  # -0 is not 0


@pytest.mark.parametrize(("layout", "name"), CASES)
@pytest.mark.parametrize("through", ["torch", "keras", "flax", "onnx"])
def test_a_round_trip_changes_no_bit(layout, name, through, tmp_path):
    net = network(layout, name)
    for array in net.params.values():
        array[:1, :1] = -0.0
    net.params["W_hy"][...] = np.eye(net.hidden)
    if "before" in name and through in ("torch", "flax"):
        with pytest.raises(ValueError, match=f"{through} has no GRU with reset_after=False"):
            getattr(net, WRITERS[through])()
        return
    keys = {"nonlinearity": net.model.cell.nonlinearity} if net.cell == "rnn" and net.layers == 1 else {}
    keys |= {"nonlinearity": "tanh"} if net.cell == "rnn" and net.layers > 1 else {}
    if through == "onnx":
        weights = net.to_onnx_arrays()
        named = {f"{k}/{part}": a for k, arrays in enumerate(weights) for part, a in arrays.items()}
        np.savez(tmp_path / "w.npz", **named)
        keys |= {"reset_after": "before" not in name} if net.cell == "gru" else {}
        same(net, rl.load(tmp_path / "w.npz", "onnx", prefix=[str(k) for k in range(len(weights))], **keys))
        return
    weights = getattr(net, WRITERS[through])()
    if through == "keras" and net.cell == "gru" and "b_h" not in str(list(net.params)):
        keys["reset_after"] = "before" not in name
    again = READERS[through](weights, **keys)
    same(net, again)
    for array in net.params.values():  # nothing is shared
        array[...] = 7
    assert not any((array == 7).all() for name, array in again.params.items() if "W" in name)


def test_the_second_bias_is_zero_where_torch_adds_the_two():
    for name in ("lstm1b", "gru1b", "rnn1b"):
        state = network("torch", name).to_torch_state_dict()
        hidden = state["bias_hh_l0"]
        assert not hidden[: 8 if name[0] == "g" else None].any()
        assert hidden[8:].all() if name[0] == "g" else True


def test_a_list_of_prefixes_stacks_modules():
    weights = rl.network("lstm", inputs=3, hidden=4, layers=2, seed=1).to_keras_weights()
    named = {
        f"m{k}/{part}": a
        for k, arrays in enumerate(weights)
        for part, a in zip("kr", arrays[:2], strict=True)
    }
    named = {n.replace("/k", "/kernel").replace("/r", "/recurrent_kernel"): a for n, a in named.items()}
    net = rl.from_keras(named, prefix=["m0", "m1"])
    assert net.layers == 2 and net.states(np.zeros((5, 3, 1))).keys() == {"l1.h", "l1.c", "l2.h", "l2.c"}
    with pytest.raises(ValueError, match="layer 2 has inputs of size 3, but layer 1 has outputs of size 4"):
        rl.from_keras(named, prefix=["m1", "m0"][::-1][:1] * 2)


def test_a_direction_of_a_bidirectional_module():
    from safetensors.numpy import load_file

    file = FIXTURES / "bidirectional.safetensors"
    arrays = load_file(file)
    x = np.load(FIXTURES / "torch.npz", allow_pickle=False)["x"]
    with pytest.raises(
        ValueError,
        match=r"^direction: the module is bidirectional; pass direction='forward' or direction='reverse'",
    ):
        rl.load(file, "torch")
    y = arrays["y"].transpose(0, 2, 1)
    forward = rl.load(file, "torch", direction="forward", readout="fc")
    np.testing.assert_allclose(forward.states(x)["h"][1:], y[:, :4], atol=1e-6)
    np.testing.assert_allclose(forward.predict(x), arrays["o"].transpose(0, 2, 1), atol=1e-6)
    assert forward.outputs == 2
    reverse = rl.load(file, "torch", direction="reverse")
    np.testing.assert_allclose(reverse.predict(x[::-1])[::-1], y[:, 4:], atol=1e-6)
    with pytest.raises(ValueError, match="direction='reverse': the module has one direction"):
        network("torch", "lstm1b", direction="reverse")


def test_half_precision_is_converted_with_a_warning():
    with pytest.warns(
        UserWarning, match="^8 tensors in half precision were converted to float32$|^4 tensors"
    ):
        net = rl.load(FIXTURES / "half.safetensors", "torch", direction="forward")
    exact = rl.load(FIXTURES / "bidirectional.safetensors", "torch", direction="forward")
    assert net.dtype == "float32"
    np.testing.assert_allclose(net.params["W_hh"], exact.params["W_hh"], rtol=2**-8)
    state = {name: a.astype(np.float16) for name, a in exact.to_torch_state_dict().items()}
    with pytest.warns(UserWarning, match="4 tensors in half precision"):
        assert rl.from_torch(state).dtype == "float32"


def test_float64_is_kept_and_types_are_not_mixed():
    state = {
        name: a.astype(np.float64) for name, a in network("torch", "gru1b").to_torch_state_dict().items()
    }
    assert rl.from_torch(state).dtype == "float64"
    with pytest.raises(
        ValueError, match="weights: have the data types float32 and float64; must have a single"
    ):
        rl.from_torch(state | {"weight_ih_l0": state["weight_ih_l0"].astype(np.float32)})


class Tensor:
    """A tensor on another device, whose values torch gives only after two steps."""

    def __init__(self, a, steps=()):
        self.a, self.steps, self.shape, self.dtype = a, steps, a.shape, f"torch.{a.dtype}"

    def detach(self):
        return Tensor(self.a, (*self.steps, "detach"))

    def cpu(self):
        return Tensor(self.a, (*self.steps, "cpu"))

    def numpy(self):
        assert self.steps == ("detach", "cpu")
        return self.a


def test_a_module_states_its_nonlinearity():
    state = {
        f"enc.rnn.{name}": Tensor(a) for name, a in network("torch", "rnn2b").to_torch_state_dict().items()
    }
    module = SimpleNamespace(
        state_dict=lambda: state, enc=SimpleNamespace(rnn=SimpleNamespace(nonlinearity="relu"))
    )
    net = rl.from_torch(module)
    assert net.model.cell.cells[1].nonlinearity == "relu" and net.layers == 2
    with pytest.raises(ValueError, match="nonlinearity='tanh': the weights have nonlinearity='relu'"):
        rl.from_torch(module, nonlinearity="tanh")
    assert rl.from_torch(module, layers=1).layers == 1
    with pytest.raises(ValueError, match="layers=3: the module has 2"):
        rl.from_torch(module, layers=3)


def test_names_of_keras_files():
    assert set(keras_names({"layers/lstm_1/cell/vars/2": 0, "model_weights/d/d/bias:0": 0})) == {
        "lstm_1/bias",
        "model_weights/d/d/bias",
    }


def gru(**keys):
    return {f"{name}": a for name, a in network("torch", "gru1b").to_torch_state_dict().items()} | keys


NAN = np.full((12, 3), np.nan, np.float32)
KERNELS = {"kernel": np.ones((3, 12)), "recurrent_kernel": np.ones((4, 12))}
MISTAKES = {
    "nothing recurrent": (
        lambda: rl.from_torch({"fc.weight": np.ones((2, 2))}),
        "prefix='': no recurrent module has this prefix; no recurrent module found, such as encoder.weight_hh_l0",
    ),
    "several modules": (
        lambda: rl.load(FIXTURES / "flax.npz", "flax"),
        "prefix: several recurrent modules; pass prefix= one of GRUCell, LSTMCell, OptimizedLSTMCell, SimpleCell",
    ),
    "another prefix": (
        lambda: rl.load(FIXTURES / "flax.npz", "flax", prefix="GRU"),
        "prefix='GRU': no recurrent module has this prefix; available: GRUCell, LSTMCell, OptimizedLSTMCell, SimpleCell",
    ),
    "nonlinearity": (
        lambda: rl.load(FIXTURES / "torch.npz", "torch", prefix="rnn1b"),
        "nonlinearity: does not follow from the weights of a vanilla cell; pass nonlinearity=tanh, relu or identity",
    ),
    "form of a GRU": (
        lambda: rl.from_keras(KERNELS),
        "reset_after: does not follow from the weights of a GRU; pass reset_after=True (torch, flax, Keras by "
        "default, ONNX with linear_before_reset=1) or False",
    ),
    "missing": (
        lambda: rl.from_torch({k: v for k, v in gru().items() if k != "bias_hh_l0"}),
        "bias_hh_l0: missing",
    ),
    "missing layer": (
        lambda: rl.from_torch({k.replace("l0", "l1"): v for k, v in gru().items()}),
        "_l1: unexpected beside the weights _l0",
    ),
    "extra": (
        lambda: rl.from_torch(gru(weight_ch_l0=np.ones(3))),
        "weight_ch_l0: unexpected beside the weights bias_hh_l0, bias_ih_l0, weight_hh_l0, weight_ih_l0",
    ),
    "projection": (
        lambda: rl.from_torch(gru(weight_hr_l0=np.ones((2, 4)))),
        "weight_hr_l0: an LSTM with proj_size is not supported",
    ),
    "gates": (
        lambda: rl.from_torch(gru(weight_hh_l0=np.ones((8, 4)))),
        "weight_hh_l0: has 2 gates (8 × 4 weights); must have 1 (rnn), 3 (gru) or 4 (lstm)",
    ),
    "shape": (
        lambda: rl.from_torch(gru(weight_ih_l0=np.ones((16, 3), np.float32))),
        "weight_ih_l0: has the shape (16, 3); must be (12, 3)",
    ),
    "dimensions": (
        lambda: rl.from_torch(gru(weight_ih_l0=np.ones(12))),
        "weight_ih_l0: has the shape (12,); must have 2 dimensions, none empty",
    ),
    "bias of a GRU": (
        lambda: rl.from_keras(KERNELS | {"bias": np.ones((3, 12))}),
        "bias: has the shape (3, 12); must be (2, 12) for a GRU with reset_after=True, or (12,) for one with "
        "reset_after=False",
    ),
    "NaN": (
        lambda: rl.from_torch(gru(weight_ih_l0=NAN)),
        "weight_ih_l0: contains NaN or infinity; must be finite",
    ),
    "integers": (
        lambda: rl.from_torch(gru(weight_ih_l0=np.ones((12, 3), int))),
        "weight_ih_l0: has the data type int64; must be float32, float64, float16 or bfloat16",
    ),
    "peepholes": (
        lambda: LAYOUTS["onnx"].read(Source({f"a/{part}": None for part in "WRBP"}), "a", Choices()),
        "a/P: an LSTM with peepholes is not supported",
    ),
    "layout": (lambda: rl.load("x.npz", "mxnet"), "layout='mxnet': must be torch, keras, flax, onnx"),
    "argument": (
        lambda: rl.from_torch(gru(), nonlinearity="gelu"),
        "nonlinearity='gelu': must be 'tanh' or 'relu' or 'identity'",
    ),
    "layers": (
        lambda: rl.from_torch(gru(), layers=0),
        "layers=0: must be a positive integer, or None for all layers",
    ),
    "no module": (
        lambda: rl.from_torch(3),
        "module_or_state_dict: is a int; must be a module or a state dict",
    ),
    "no string": (
        lambda: rl.from_torch(gru(), prefix=3),
        "prefix=3: must be a string, or a list of at least one string",
    ),
    "no readout": (lambda: rl.from_torch(gru(), readout=3), "readout=3: must be a string"),
    "no tree": (
        lambda: rl.from_flax({"params": 3}),
        "prefix='': no recurrent module has this prefix; no recurrent module found, such as cell/hi/kernel",
    ),
    "no arrays": (
        lambda: rl.from_keras([]),
        "layer_or_weights: has 0 arrays; must be kernel, recurrent_kernel and bias",
    ),
    "no layout": (lambda: rl.load("x.npz", ["torch"]), "layout=['torch']: must be torch, keras, flax, onnx"),
    "readout": (lambda: rl.from_torch(gru(), readout="fc"), "readout='fc': fc.weight: missing"),
    "size of the readout": (
        lambda: rl.from_torch(gru(**{"fc.weight": np.ones((2, 5), np.float32)}), readout="fc"),
        "readout='fc': reads 5 units, but the top layer has 4",
    ),
    "inputs": (
        lambda: rl.from_torch(gru()).predict(np.zeros((9, 5, 2))),
        "x: must have the shape (time, 3, batch), or (time, batch) for integer symbols, got shape (9, 5, 2)",
    ),
    "own cell": (
        lambda: rl.network("lstm", inputs=1, overrides=["cell.candidate=sigmoid"]).to_torch_state_dict(),
        "LSTM: other frameworks have no such cell",
    ),
    "identity": (
        lambda: rl.network("rnn", inputs=1, overrides=["cell.nonlinearity=identity"]).to_torch_state_dict(),
        "torch has no vanilla cell with nonlinearity=identity; allowed: tanh, relu",
    ),
    "residual": (
        lambda: rl.network("rnn", inputs=1, layers=2, residual=True).to_torch_state_dict(),
        "residual connections: other frameworks have no such layer",
    ),
    "control characters": (
        lambda: rl.from_torch({"a\x1b[2J\n.weight_hh_l0": np.ones((8, 4)), "b.weight_hh_l0": np.ones(3)}),
        "prefix: several recurrent modules; pass prefix= one of a�[2J, b",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).removeprefix(f"{FIXTURES}/") == message
