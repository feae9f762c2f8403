"""Weights of the fixtures, which the frameworks themselves made: outputs, round trips and what is asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

import rnnlab as rl
from rnnlab.library.hdf5_files import keras_names
from tests.interop.examples import FIXTURES

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
    with pytest.raises(
        ValueError, match="m0/kernel: has 3 inputs, but the layer below, m0/kernel, has 4 units"
    ):
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
    assert set(keras_names({"layers/embedding/vars/0": 0, "layers/embedding_1/vars/0": 0})) == {
        "embedding/embeddings",
        "embedding_1/embeddings",
    }
    assert set(keras_names({"layers/lstm_1/cell/vars/2": 0, "model_weights/d/d/bias:0": 0})) == {
        "lstm_1/bias",
        "model_weights/d/d/bias",
    }
