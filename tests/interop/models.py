"""Small models of the frameworks themselves, with their outputs; imports the frameworks."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
X, H, B = 3, 4, 2


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        name: Prefix of the weights in the fixtures.
        model: Argument of `rl.from_torch`, `from_keras` or `from_flax`; None for ONNX.
        arrays: Weights by name, without the prefix.
        x: Inputs, shape (T, X, B).
        outputs: Outputs of the top layer, shape (T, H, B).
        keys: Arguments that do not follow from the weights.
    """

    name: str
    model: Any
    arrays: dict[str, np.ndarray]
    x: np.ndarray
    outputs: np.ndarray
    keys: dict[str, Any]


def inputs(time: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((time, X, B)).astype(dtype)


def torch_cases(time: int, dtype: str) -> Iterator[Case]:
    import torch

    x = inputs(time, dtype)
    for kind in ("RNN", "LSTM", "GRU"):
        for layers in (1, 2, 3):
            for bias in (True, False):
                torch.manual_seed(layers)
                model = getattr(torch.nn, kind)(X, H, layers, bias=bias, dtype=getattr(torch, dtype))
                with torch.no_grad():
                    y = model(torch.from_numpy(x.transpose(0, 2, 1).copy()))[0].numpy().transpose(0, 2, 1)
                arrays = {name: value.numpy().copy() for name, value in model.state_dict().items()}
                keys = {"nonlinearity": "tanh"} if kind == "RNN" else {}
                yield Case(f"{kind.lower()}{layers}{'b' * bias}", model, arrays, x, y, keys)


def keras_in(dtype: str) -> Any:
    """Return Keras, set to a data type.

    Except with TensorFlow, Keras 3 rounds to float32 within float64 layers, whatever `floatx`, `dtype` and
    the policy are: its torch backend in the matrix products, its JAX backend in tanh, because its table of
    promoted types demotes float64 (github.com/keras-team/keras/issues/23223). This entry is corrected.
    """
    import keras
    from keras.src.backend.common.dtypes import BIT64_TO_BIT32_DTYPE

    BIT64_TO_BIT32_DTYPE["float64"] = dtype
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    return keras


def keras_cases(time: int, dtype: str) -> Iterator[Case]:
    keras = keras_in(dtype)
    x, layers = inputs(time, dtype), keras.layers
    kinds = {
        "lstm": (layers.LSTM, {}, {}),
        "gru_after": (layers.GRU, {"reset_after": True}, {"reset_after": True}),
        "gru_before": (layers.GRU, {"reset_after": False}, {"reset_after": False}),
        "rnn_tanh": (layers.SimpleRNN, {"activation": "tanh"}, {"nonlinearity": "tanh"}),
        "rnn_relu": (layers.SimpleRNN, {"activation": "relu"}, {"nonlinearity": "relu"}),
    }
    for name, (kind, options, keys) in kinds.items():
        for bias in (True, False):
            keras.utils.set_random_seed(1)
            layer = kind(H, use_bias=bias, return_sequences=True, dtype=dtype, **options)
            layer.build((B, time, X))
            rng = np.random.default_rng(2)
            layer.set_weights([0.5 * rng.standard_normal(w.shape) for w in layer.get_weights()])
            y = keras.ops.convert_to_numpy(layer(x.transpose(2, 0, 1))).transpose(1, 2, 0)
            arrays = dict(zip(("kernel", "recurrent_kernel", "bias"), layer.get_weights(), strict=False))
            yield Case(f"{name}{'_bias' * bias}", layer, arrays, x, y, keys)


def flax_cases(time: int, dtype: str) -> Iterator[Case]:
    import jax

    jax.config.update("jax_enable_x64", dtype == "float64")
    import flax.linen as nn

    x = inputs(time, dtype)
    for name in ("SimpleCell", "LSTMCell", "OptimizedLSTMCell", "GRUCell"):
        cell = getattr(nn, name)(H, dtype=dtype, param_dtype=dtype)
        network, batch = nn.RNN(cell), x.transpose(2, 0, 1)
        params = network.init(jax.random.key(0), batch)
        rng = np.random.default_rng(2)
        params = jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape).astype(dtype), params)  # noqa: B023
        y = np.asarray(network.apply(params, batch)).transpose(1, 2, 0)
        tree = params["params"]["cell"]
        arrays = {
            f"{gate}/{part}": np.asarray(a) for gate, parts in tree.items() for part, a in parts.items()
        }
        yield Case(name, params, arrays, x, y, {"nonlinearity": "tanh"} if name == "SimpleCell" else {})


def onnx_model(
    op: str, arrays: dict[str, np.ndarray], time: int, dtype: str, attributes: dict[str, Any]
) -> Any:
    """Return a model of one operator, with its weights as constants."""
    from onnx import TensorProto, helper, numpy_helper

    kind = TensorProto.FLOAT if dtype == "float32" else TensorProto.DOUBLE
    directions = len(arrays["W"])
    node = helper.make_node(op, ["X", *arrays], ["Y"], name="cell", hidden_size=H, **attributes)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("X", kind, (time, B, X))],
        [helper.make_tensor_value_info("Y", kind, (time, directions, B, H))],
        [numpy_helper.from_array(a, name) for name, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def onnx_outputs(model: Any, x: np.ndarray) -> np.ndarray:
    """Return the outputs (T, H, B) of onnxruntime, or in float64, which it lacks, of the reference of ONNX."""
    feeds = {"X": np.ascontiguousarray(x.transpose(0, 2, 1))}
    if x.dtype == np.float32:
        import onnxruntime

        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (y,) = session.run(["Y"], feeds)
    else:
        from onnx.reference import ReferenceEvaluator

        (y,) = ReferenceEvaluator(model).run(["Y"], feeds)
    return y[:, 0].transpose(0, 2, 1)


def onnx_cases(time: int, dtype: str) -> Iterator[Case]:
    x = inputs(time, dtype)
    kinds: dict[str, tuple[str, int, dict[str, Any], dict[str, Any]]] = {
        "lstm": ("LSTM", 4, {}, {}),
        "gru_after": ("GRU", 3, {"linear_before_reset": 1}, {"reset_after": True}),
        "gru_before": ("GRU", 3, {"linear_before_reset": 0}, {"reset_after": False}),
        "rnn_tanh": ("RNN", 1, {}, {"nonlinearity": "tanh"}),
        "rnn_relu": ("RNN", 1, {"activations": ["Relu"]}, {"nonlinearity": "relu"}),
    }
    if dtype == "float64":
        del kinds["rnn_relu"]  # the reference has no relu
    for name, (op, gates, attributes, keys) in kinds.items():
        for bias in (True, False):
            rng = np.random.default_rng(3)
            shapes = {"W": (1, gates * H, X), "R": (1, gates * H, H)} | (
                {"B": (1, 2 * gates * H)} if bias else {}
            )
            arrays = {
                part: (0.4 * rng.standard_normal(shape)).astype(dtype) for part, shape in shapes.items()
            }
            model = onnx_model(op, arrays, time, dtype, attributes)
            y = onnx_outputs(model, x)
            yield Case(f"{name}{'_bias' * bias}", model, arrays, x, y, keys)


CASES = {"torch": torch_cases, "keras": keras_cases, "flax": flax_cases, "onnx": onnx_cases}
