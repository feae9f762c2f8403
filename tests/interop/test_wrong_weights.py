"""Mistakes in weights and arguments: one line each."""

import numpy as np
import pytest

import rnnlab as rl
from rnnlab.interop import LAYOUTS, Choices, Source
from tests.interop.examples import FIXTURES, gru, gru_layers, words
from tests.interop.test_layouts import network

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
        "weight_hh_l0: missing, although there is weight_ih_l1; layers are numbered from 0 without gaps",
    ),
    "gap in torch": (
        lambda: rl.from_torch({f"a.{name}": a for name, a in gru_layers(0, 2).items()}, layers=1),
        "a.weight_hh_l1: missing, although there is a.weight_ih_l2; layers are numbered from 0 without gaps",
    ),
    "gap in a reverse direction": (
        lambda: rl.from_torch(
            {f"{name}_reverse": a for name, a in gru_layers(0, 2).items()}, direction="reverse"
        ),
        "weight_hh_l1_reverse: missing, although there is weight_ih_l2_reverse; layers are numbered from 0 "
        "without gaps",
    ),
    "a cell beside layers": (
        lambda: rl.from_torch(gru() | {name[:-3]: a for name, a in gru().items()}),
        "bias_hh: unexpected beside bias_hh_l0",
    ),
    "gap in Keras": (
        lambda: rl.from_keras([list(KERNELS.values()), []]),
        "layer_or_weights[1]: has 0 arrays; must be kernel, recurrent_kernel and bias",
    ),
    "gap in flax": (
        lambda: rl.from_flax([*network("flax", "GRUCell").to_flax_params(), {}]),
        "params[1]: contains 0 cells; each tree of a list must contain one",
    ),
    "gap in ONNX": (
        lambda: rl.load(FIXTURES / "onnx.npz", "onnx", prefix=["lstm", "lstm_1"]),
        "prefix='lstm_1': no recurrent module has this prefix; available: gru_after, gru_after_bias, gru_before, "
        "gru_before_bias, lstm, lstm_bias, rnn_relu, rnn_relu_bias and 2 more",
    ),
    "layers of other sizes": (
        lambda: rl.from_torch(gru_layers(0, 1)),
        "weight_ih_l1: has 3 inputs, but the layer below, weight_ih_l0, has 4 units",
    ),
    "layers of Keras": (
        lambda: rl.from_keras([list(KERNELS.values())] * 2, reset_after=True),
        "layer_or_weights[1]/kernel: has 3 inputs, but the layer below, layer_or_weights[0]/kernel, has 4 units",
    ),
    "layers of several cells": (
        lambda: rl.load(FIXTURES / "flax.npz", "flax", prefix=["GRUCell", "LSTMCell"]),
        "LSTMCell/io/kernel: belongs to the cell lstm, but GRUCell/ir/kernel to gru; all layers must have the same "
        "cell",
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
    "extra in ONNX": (
        lambda: LAYOUTS["onnx"].read(Source({f"a/{part}": None for part in "WRX"}), "a", Choices()),
        "a/X: unexpected beside the weights a/B, a/R, a/W",
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
    "no embedding": (
        lambda: rl.from_torch(words(), embedding="decoder"),
        "embedding='decoder': has the shape (2, 4); must be (symbols, 3), because the network has 3 inputs",
    ),
    "another embedding": (
        lambda: rl.from_torch(words(), embedding="emb"),
        "embedding='emb': no such tensor; matrices with 3 columns: encoder.weight",
    ),
    "recurrent weights as an embedding": (
        lambda: rl.from_torch(words(), embedding="rnn.weight_ih_l0"),
        "embedding='rnn.weight_ih_l0': belongs to a recurrent layer; must be a matrix with a row for each symbol",
    ),
    "symbols and several matrices": (
        lambda: rl.from_torch({"a.weight": np.ones((4, 3))} | words()).predict([[4]]),
        "x: has symbols from 4 to 4; must be 0 to 2, because the network has 3 inputs; encoder.weight, a.weight are "
        "matrices with 3 columns: pass the right one, such as embedding='encoder.weight', to look symbols up in it",
    ),
    "an embedding of NaN": (
        lambda: rl.from_torch(words(), embedding=np.full((5, 3), np.nan)),
        "embedding: contains NaN or infinity; must be finite",
    ),
    "an embedding that is no matrix": (
        lambda: rl.from_torch(words(), embedding=[[1, 2, 3]]),
        "embedding: has the shape (); must be (symbols, 3), because the network has 3 inputs",
    ),
    "a symbol that the embedding lacks": (
        lambda: rl.from_torch(words(), embedding="encoder").predict([[5]]),
        "x: has symbols from 5 to 5; must be 0 to 4, because the embedding has 5 rows",
    ),
    "symbols without an embedding": (
        lambda: rl.from_torch(words()).predict([[4]]),
        "x: has symbols from 4 to 4; must be 0 to 2, because the network has 3 inputs; encoder.weight is a matrix "
        "with 3 columns: pass embedding='encoder.weight' to look symbols up in it",
    ),
    "another readout": (
        lambda: rl.from_torch(
            {f"rnn.{name}": a for name, a in gru().items()}
            | {"head.weight": np.ones((2, 4)), "emb.weight": np.ones((9, 3))},
            readout="fc",
        ),
        "readout='fc': fc.weight: missing; linear layers that read 4 units: head",
    ),
    "readout of one layer": (
        lambda: rl.from_keras(list(KERNELS.values()), readout=True),
        "readout=True: must be the path of a Dense layer, None, or, for a list whose last item is the Dense layer, "
        "True",
    ),
    "readout that is none": (
        lambda: rl.from_keras([list(KERNELS.values()), [1, 2, 3]], readout=True),
        "layer_or_weights[1]: has 3 arrays; must be kernel and bias",
    ),
    "name of the readout": (
        lambda: network("torch", "gru1b").to_torch_state_dict("rnn", readout="rnn"),
        "readout='rnn': must be the name of a linear layer, such as 'fc', and not that of the recurrent module",
    ),
    "no name of the readout": (
        lambda: network("torch", "gru1b").to_keras_weights(readout="fc"),
        "readout='fc': must be True or False",
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
