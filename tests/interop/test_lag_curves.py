"""Lag curves of imported networks compared with the frameworks' own derivatives through an unrolled loop.

Zeros ε[t] are added to the state that each time step hands to the next one, s[t] + ε[t]; the gradient of the
loss with respect to ε[t] is ∂L/∂s[t]. torch, Keras and flax differentiate the loop of their own cells by
their own autograd. ONNX has no autograd: the project's reference implementation of the operators is
differentiated by complex steps, Im f(s + i·10⁻²⁰ e) / 10⁻²⁰, which are exact up to rounding.
"""

import numpy as np
import pytest

import rnnlab as rl
from tests.interop.models import B, H, X, inputs, keras_in

TIME = 25
KINDS = {
    "torch": ("RNN", "LSTM", "GRU"),
    "keras": ("SimpleRNN", "LSTM", "GRU", "GRU before"),
    "flax": ("SimpleCell", "OptimizedLSTMCell", "GRUCell"),
    "onnx": ("RNN", "LSTM", "GRU", "GRU before"),
}
x = inputs(TIME, "float64")
y = np.random.default_rng(4).standard_normal((1, H, B))
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("layout", "kind"), [(layout, kind) for layout in KINDS for kind in KINDS[layout]])
def test_lag_curve_equals_the_derivatives_of_the_framework(layout, kind, layers, bias, tmp_path):
    measure = {"torch": of_torch, "keras": of_keras, "flax": of_flax, "onnx": of_onnx}[layout]
    net, squares = measure(kind, layers, bias, tmp_path)
    assert (net.layers, any(name.endswith("b_h") for name in net.params)) == (layers, bias)
    expected = (0.5 * np.log10(squares)).mean(axis=1)[::-1]  # by lag
    found = net.lag_curve(x, y).frame.query("quantity == 'state'")
    if layers > 1:
        found = found[found["layer"] == 0]
    values = found.sort_values("lag")["log10_gmean"].to_numpy()
    assert np.ptp(values) > 1
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10)


def squares_of(gradients):
    """Return the squared norm at each time step, (T, B), of gradients (T, …, B, H) of the parts of a state."""
    found = [np.asarray(part).reshape(TIME, -1, B, H) for part in gradients]
    return sum((part**2).sum(axis=(1, 3)) for part in found)


def of_torch(kind, layers, bias, folder):
    torch = pytest.importorskip("torch")
    torch.manual_seed(7)
    module = getattr(torch.nn, kind)(X, H, layers, bias=bias, dtype=torch.float64)
    parts = 2 if kind == "LSTM" else 1
    state = [torch.zeros(layers, B, H, dtype=torch.float64) for _ in range(parts)]
    zeros = [torch.zeros(TIME, layers, B, H, dtype=torch.float64, requires_grad=True) for _ in range(parts)]
    for t, x_t in enumerate(torch.from_numpy(x.transpose(0, 2, 1).copy())):
        after = module(x_t[None], tuple(state) if parts == 2 else state[0])[1]
        state = [part + ε[t] for part, ε in zip(after if parts == 2 else (after,), zeros, strict=True)]
    loss = ((state[0][-1] - torch.from_numpy(y[0].T.copy())) ** 2).sum() / 2
    return rl.from_torch(module), squares_of(torch.autograd.grad(loss, zeros))


def of_keras(kind, layers, bias, folder):
    pytest.importorskip("keras")
    torch = pytest.importorskip("torch")
    keras = keras_in("float64")
    options = {"return_sequences": True, "use_bias": bias, "dtype": "float64"}
    if kind.startswith("GRU"):
        options["reset_after"] = kind == "GRU"
    stack = [getattr(keras.layers, kind.split()[0])(H, **options) for _ in range(layers)]
    model = keras.Sequential([keras.Input((TIME, X), dtype="float64"), *stack])
    rng = np.random.default_rng(2)
    model.set_weights([0.5 * rng.standard_normal(w.shape) for w in model.get_weights()])
    parts = 2 if kind == "LSTM" else 1
    zeros = torch.zeros(TIME, layers, parts, B, H, dtype=torch.float64, requires_grad=True)
    states = [[torch.zeros(B, H, dtype=torch.float64) for _ in range(parts)] for _ in stack]
    for t, below in enumerate(torch.from_numpy(x.transpose(0, 2, 1).copy())):
        for k, layer in enumerate(stack):
            below, after = layer.cell(below, states[k])
            states[k] = [part + ε for part, ε in zip(after, zeros[t, k], strict=True)]
    loss = ((states[-1][0] - torch.from_numpy(y[0].T.copy())) ** 2).sum() / 2
    paths = [w.path.removesuffix("/recurrent_kernel") for w in model.weights if "recurrent" in w.path]
    return rl.from_keras(model, prefix=paths), squares_of(torch.autograd.grad(loss, [zeros]))


def of_flax(kind, layers, bias, folder):
    """flax has no option for cells without biases: they are zeros in flax, and missing in rnnlab."""
    linen = pytest.importorskip("flax.linen")  # first: JAX alone would start threads
    import jax

    jax.config.update("jax_enable_x64", True)
    rng, trees = np.random.default_rng(2), []
    cell = getattr(linen, kind)(H, dtype="float64", param_dtype="float64")
    for layer in range(layers):
        below = np.zeros((B, H if layer else X))
        start = cell.initialize_carry(jax.random.key(0), below.shape)
        tree = cell.init(jax.random.key(0), start, below)["params"]
        trees.append(jax.tree.map(lambda a: 0.5 * rng.standard_normal(a.shape), tree))
    if not bias:
        bare = [{name: {"kernel": gate["kernel"]} for name, gate in tree.items()} for tree in trees]
        trees = [
            {name: {part: a * (part == "kernel") for part, a in gate.items()} for name, gate in tree.items()}
            for tree in trees
        ]
    start = jax.tree.map(lambda a: a.astype("float64"), start)
    zeros = [jax.tree.map(lambda a: jax.numpy.zeros((TIME, *a.shape)), start) for _ in trees]

    def loss(zeros):
        def step(states, now):
            below, ε = now
            after = []
            for tree, state, own in zip(trees, states, ε, strict=True):
                state, below = cell.apply({"params": tree}, state, below)
                after.append(jax.tree.map(jax.numpy.add, state, own))
            return after, None

        states, _ = jax.lax.scan(step, [start] * layers, (x.transpose(0, 2, 1), zeros))
        top = jax.tree.leaves(states[-1])[-1]  # the carry of an LSTM is (c, h)
        return ((top - y[0].T) ** 2).sum() / 2

    gradients = jax.tree.leaves(jax.jit(jax.grad(loss))(zeros))
    keys = {"nonlinearity": "tanh"} if kind == "SimpleCell" else {}
    trees = [{f"cell{k}": tree} for k, tree in enumerate(trees if bias else bare)]
    names = [name for tree in trees for name in tree]
    merged = {name: gates for tree in trees for name, gates in tree.items()}
    return rl.from_flax({"params": merged}, prefix=names, **keys), squares_of(gradients)


def of_onnx(kind, layers, bias, folder):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    op, gates, parts = (
        kind.split()[0],
        {"RNN": 1, "LSTM": 4, "GRU": 3}[kind.split()[0]],
        "hc"[: 1 + (kind == "LSTM")],
    )
    rng, nodes, constants, runs = np.random.default_rng(3), [], [], []
    options = {"hidden_size": H} | ({"linear_before_reset": int(kind == "GRU")} if op == "GRU" else {})
    for k in range(layers):
        shapes = {"W": (1, gates * H, H if k else X), "R": (1, gates * H, H), "B": (1, 2 * gates * H)}
        own = [
            numpy_helper.from_array(0.4 * rng.standard_normal(shapes[n]), f"{n}{k}")
            for n in "WRB"[: 2 + bias]
        ]
        weights = [*(tensor.name for tensor in own), *[""] * (not bias), ""]
        states, finals = [f"{part}{k}" for part in parts], [f"final_{part}{k}" for part in parts]
        node = helper.make_node(
            op, [f"x{k}", *weights, *states], [f"y{k}", *finals], name=f"cell{k}", **options
        )
        kinds = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in (f"x{k}", *states)]
        outputs = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in (f"y{k}", *finals)]
        graph = helper.make_graph([node], "graph", kinds, outputs, own)
        runs.append(ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
        nodes.append(node)
        constants += own
    graph = helper.make_graph(nodes, "graph", [], [], constants)
    file = folder / "model.onnx"
    file.write_bytes(helper.make_model(graph).SerializeToString())

    def step(states, x_t):
        """Return the states of all layers, each (batch, H); the operators run for one time step."""
        below, after = x_t[None], []
        for k, state in enumerate(states):
            feeds = {f"{part}{k}": value[None] for part, value in zip(parts, state, strict=True)}
            output, *finals = runs[k].run(None, {f"x{k}": below} | feeds)
            below = output[:, 0]
            after.append([final[0] for final in finals])
        return after

    steps = x.transpose(0, 2, 1).astype(complex)
    history = [[[np.zeros((B, H), complex) for _ in parts] for _ in range(layers)]]
    for x_t in steps:
        history.append(step(history[-1], x_t))
    tiny, squares = 1e-20, []
    places = [(k, p, unit) for k in range(layers) for p in range(len(parts)) for unit in range(H)]
    for t in range(1, TIME + 1):  # one copy of the batch for each element of the state
        states = [[np.tile(part, (len(places), 1)) for part in layer] for layer in history[t]]
        for n, (k, p, unit) in enumerate(places):
            states[k][p][n * B : (n + 1) * B, unit] += 1j * tiny
        for x_t in steps[t:]:
            states = step(states, np.tile(x_t, (len(places), 1)))
        top = states[-1][0].reshape(len(places), B, H)
        gradients = ((top - y[0].T) ** 2).sum(axis=2).imag / 2 / tiny
        squares.append((gradients**2).sum(axis=0))
    return rl.load(file, layout="onnx", prefix=[f"cell{k}" for k in range(layers)]), np.array(squares)
