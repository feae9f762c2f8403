"""Mutants of the network: cells, readout, losses, model, initialisers, norms, clipping, optimisers."""

from tests.mutants.mutant import Mutant

GRADIENTS = ("test_gradients.py::test_gradients_equal_numerical_derivatives",)
CLIPPING = ("test_clipping.py",)
STACK = ("cells/test_stack.py",)
SLOW = ("cells/test_slow_cells.py",)
EXPONENTS = ("engine/test_exponents.py",)

CORE = [
    Mutant("engine/activations.py", "lambda y: 1 - y * y, 1.0", "lambda y: 1.001 - y * y, 1.0", GRADIENTS),
    Mutant(
        "engine/activations.py", "np.greater(z, 0, out=out)", "np.greater_equal(z, 0, out=out)", GRADIENTS
    ),
    Mutant("cells/lstm.py", "δ * tanh_c, κ * g, κ * c_before", "δ * tanh_c, κ * i, κ * c_before", GRADIENTS),
    Mutant("cells/lstm.py", "κ = λ_c + δ", "κ = 0.0 * λ_c + δ", GRADIENTS),
    Mutant(
        "cells/lstm.py",
        'params["b_h"][self.rows("f")] += self.forget_bias',
        "pass",
        ("test_initializers.py",),
    ),
    Mutant("cells/gru.py", "δ * (h_before - n)", "δ * (n - h_before)", GRADIENTS),
    Mutant("cells/gru.py", "((1 - u) * (1 - n * n))", "((1 - r) * (1 - n * n))", GRADIENTS),
    Mutant("engine/exponents.py", "part[np.abs(part) < 2.0**NEGLIGIBLE] = 0", "pass", EXPONENTS),
    Mutant("engine/exponents.py", "np.maximum(TARGET - size, exponents), shift)", "0, shift)", EXPONENTS),
    Mutant("engine/adjoint_loop.py", "if check_every > 1 and", "if False and", EXPONENTS),
    Mutant(
        "engine/adjoint_loop.py",
        "            exponents[t] = scale\n            skip",
        "            exponents[t - 1] = scale\n            skip",
        EXPONENTS,
    ),
    Mutant(
        "engine/plan.py", "return _count_uses(name, outputs) == 1", "return 1", ("cells/test_own_cells.py",)
    ),
    Mutant("cells/stack.py", "δ = _present(dx) + δ if", "δ = dx if", STACK),
    Mutant("engine/exponents.py", "np.where(is_added, common, exponents)", "common", STACK),
    Mutant("cells/stack.py", "if exponents is None else deltas.exponents", "if True else None", STACK),
    Mutant("engine/exponents.py", "np.where(empty, of_added, np", "np.where(empty, 0, np", STACK),
    Mutant("engine/compiled/scaling.py", "if largest[c] != 0 else of_e[c]", "if True else of_e[c]", STACK),
    Mutant(
        "diagnostics/norms.py", "adjoint = adjoint - deltas.above", "pass", ("diagnostics/test_layers.py",)
    ),
    Mutant("diagnostics/theory.py", "if own is None else own.x", "", ("diagnostics/test_layers.py",)),
    Mutant(
        "diagnostics/lag_curves.py",
        "0 if any(split_layer(name)[0] for name in logs) else 1",
        "1",
        ("diagnostics/test_layers.py",),
    ),
    Mutant("cells/stack.py", "dx = deltas.own_dx.copy()", "dx = 0 * deltas.own_dx", SLOW),
    Mutant("engine/single_steps.py", "dx = from_dz if dx is None else dx", "dx = from_dz", SLOW),
    Mutant("engine/step_loop.py", 'own_dx=stack(lambda step: step["deltas"].dx)', "own_dx=None", SLOW),
    Mutant("gradcheck/replay.py", "plain += self.changes[self.count]", "pass", ("gradcheck/test_inside.py",)),
    Mutant("engine/activations.py", "np.where(z.real < 0, -1.0, 1.0)", "1.0", ("engine/test_functions.py",)),
    Mutant("engine/updates.py", "steps.max() < HARMLESS", "True", ("test_optimizers.py",)),
    Mutant("engine/compiled/update_source.py", '"if harmful:"', '"if False:"', ("engine/test_updates.py",)),
    Mutant(
        "engine/gated_steps.py",
        "if matrix != cell.recurrent_matrix:",
        "if False:",
        ("cells/test_own_cells.py",),
    ),
    Mutant("engine/gated_steps.py", "if cell.split_biases:\n", "if False:\n", ("cells/test_steps.py",)),
    Mutant(
        "diagnostics/norms.py",
        "after_steps = slice(steps.start + 1, steps.stop + 1)",
        "after_steps = steps",
        ("gradcheck/test_inside.py",),
    ),
    Mutant("cells/base.py", "check_names(self)\n", "pass\n", ("cells/test_own_cells.py",)),
    Mutant(
        "readout.py",
        "outputs += params",
        "outputs -= params",
        ("test_gradients.py::test_gradients_equal_numerical_derivatives",),
    ),
    Mutant(
        "losses.py", "do[targets, columns] -= 1\n", "do[targets, columns] -= 0.999\n", ("test_losses.py",)
    ),
    Mutant("losses.py", "(do * do).sum(axis=0) / 2", "(do * do).sum(axis=0)", ("test_losses.py",)),
    Mutant(
        "losses.py", "np.maximum(present.sum(axis=0), 1)", "len(present)", ("test_losses.py", "test_model.py")
    ),
    Mutant(
        "model.py",
        "share = d_initial if tape.own_start else",
        "share = d_initial if True else",
        ("test_initial_states.py",),
    ),
    Mutant("initializers.py", "np.sqrt(3 / columns)", "np.sqrt(3 / rows)", ("test_initializers.py",)),
    Mutant(
        "norms.py",
        "SAFE_SQUARES = (1e-30, 1e30)",
        "SAFE_SQUARES = (0.0, 1e30)",
        ("test_arrays.py",),
    ),
    Mutant("clipping.py", "        return self._by_value", "        return self._by_norm", CLIPPING),
    Mutant(
        "clipping.py",
        "coefficient = threshold / before",
        "coefficient = threshold / (before + 1e-6)",
        CLIPPING,
    ),
    Mutant(
        "clipping.py",
        "fraction=share, cosine=cosine)",
        "fraction=share, cosine=1.0)",
        CLIPPING,
    ),
    Mutant("clipping.py", "share = outside / sum(", "share = outside / max(", CLIPPING),
    Mutant(
        "engine/compiled/update_source.py",
        "w_now[i] -= steps_now[i]",
        "w_now[i] -= 2 * steps_now[i]",
        ("engine/test_updates.py",),
    ),
    Mutant("optimizers.py", "sqrt(m + self.epsilon)", "(sqrt(m) + self.epsilon)", ("test_optimizers.py",)),
    Mutant(
        "optimizers.py", "rate = self.lr / (1 - self.beta1**k)", "rate = self.lr", ("test_optimizers.py",)
    ),
    Mutant("optimizers.py", "v * self.momentum", "v", ("test_optimizers.py",)),
    Mutant(
        "optimizers.py", "_average(m, g * g, self.decay)", "_average(m, g * g, 0.9)", ("test_optimizers.py",)
    ),
]
