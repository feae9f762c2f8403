"""Readouts and embeddings: they go to other frameworks and come back, and symbols are looked up."""

import numpy as np
import pytest

import rnnlab as rl
from tests.interop.examples import words
from tests.interop.test_layouts import same


@pytest.mark.parametrize(("layers", "bias"), [(1, True), (2, False)])
@pytest.mark.parametrize("through", ["torch", "keras", "flax", "onnx"])
def test_the_readout_is_included(through, layers, bias, tmp_path):
    net = rl.network("lstm", inputs=3, hidden=4, outputs=2, layers=layers, readout_bias=bias)
    for array in net.params.values():
        array[:1, :1] = -0.0
    match through:
        case "torch":
            state = net.to_torch_state_dict("rnn.", readout="head.fc")
            shapes = {name: a.shape for name, a in state.items() if "rnn" not in name}
            assert shapes == {"head.fc.weight": (2, 4)} | ({"head.fc.bias": (2,)} if bias else {})
            again = rl.from_torch(state, prefix="rnn", readout="head.fc")
            np.savez(tmp_path / "w.npz", **state)
            same(net, rl.load(tmp_path / "w.npz", readout="head.fc"))
        case "keras":
            weights = net.to_keras_weights(readout=True)
            assert [w.shape for w in weights[-1]] == [(4, 2), (2,)][: 1 + bias]
            again = rl.from_keras(weights, readout=True)
        case "flax":
            trees = net.to_flax_params(readout=True)
            assert {name: a.shape for name, a in trees[-1].items()} == (
                {"kernel": (4, 2), "bias": (2,)} if bias else {"kernel": (4, 2)}
            )
            again = rl.from_flax(trees, readout=True)
        case "onnx":
            arrays = net.to_onnx_arrays(readout=True)
            named = {f"{k}/{part}": a for k, own in enumerate(arrays) for part, a in own.items()}
            np.savez(tmp_path / "w.npz", **named)
            last = len(arrays) - 1
            again = rl.load(tmp_path / "w.npz", "onnx", list("01"[:last]), readout=str(last))
    same(net, again)
    again.params["W_hy"][...] = 7
    assert not (net.params["W_hy"] == 7).any()


@pytest.mark.parametrize("embedding", ["encoder", "encoder.weight", "array"])
def test_symbols_are_looked_up_in_the_embedding(embedding):
    rows = words()["encoder.weight"]
    net = rl.from_torch(words(), embedding=rows.astype(np.float64) if embedding == "array" else embedding)
    symbols = np.arange(16).reshape(8, 2) % 5
    vectors = rows[symbols].transpose(0, 2, 1)
    np.testing.assert_array_equal(net.predict(symbols), net.predict(vectors))
    np.testing.assert_array_equal(net.predict(symbols.T, axes="btf"), net.predict(vectors))
    np.testing.assert_array_equal(net.lag_curve(symbols).log10_g, net.lag_curve(vectors).log10_g)
    y = np.zeros((1, 4, 2))
    np.testing.assert_array_equal(net.lag_curve(symbols, y).log10_g, net.lag_curve(vectors, y).log10_g)


def test_matrices_that_cannot_be_the_embedding_are_not_suggested():
    square = rl.network("lstm", inputs=4, hidden=4, layers=2, outputs=4, readout_bias=False)
    state = square.to_torch_state_dict("rnn", readout="fc") | {"linear.weight": np.ones((2, 4))}
    state |= {"linear.bias": np.ones(2), "other.weight_hh": np.ones((16, 4))}
    assert rl.from_torch(state, prefix="rnn", readout="fc").possible_embeddings == ()
    assert rl.from_torch(state, prefix="rnn").possible_embeddings == ("fc.weight",)
    assert rl.from_flax(square.to_flax_params(readout=True), readout=True).possible_embeddings == ()
    with pytest.warns(
        UserWarning, match="integers are read as one-hot vectors; fc.weight is a matrix with 4"
    ):
        rl.from_torch(state, prefix="rnn").predict([[1]])
