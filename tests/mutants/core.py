"""Mutants of the network: cells, readout, losses, model, initialisers, norms, clipping, optimisers."""

from tests.mutants.mutant import Mutant

STEPS = ("cells/test_steps.py", "cells/test_products.py")
GRADIENTS = ("test_gradients.py::test_gradients_equal_finite_differences",)
CLIPPING = ("test_clipping.py",)

CORE = [
    Mutant("cells/vanilla.py", "np.subtract(1, out, out=out)", "np.subtract(1.001, out, out=out)", GRADIENTS),
    Mutant("cells/vanilla.py", "np.greater(h, 0, out=out)", "np.greater_equal(h, 0, out=out)", GRADIENTS),
    Mutant("cells/lstm.py", "dz_g, dz_i = κ * i * slope_g", "dz_g, dz_i = κ * g * slope_g", STEPS),
    Mutant("cells/lstm.py", "add(κ, back_c, κ)", "add(κ, 0, κ)", STEPS),
    Mutant(
        "cells/lstm.py",
        'params["b_h"][self.rows("f")] += self.forget_bias',
        "pass",
        ("test_initializers.py",),
    ),
    Mutant("cells/gru.py", "dz_u = δ * (tape.before", "dz_u = -δ * (tape.before", STEPS),
    Mutant("cells/gru.py", "np.subtract(1, u, out=da)", "np.subtract(1, r, out=da)", STEPS),
    Mutant(
        "readout.py",
        "outputs += params",
        "outputs -= params",
        ("test_gradients.py::test_gradients_equal_finite_differences",),
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
        "optimizers.py", "np.sqrt(m + self.epsilon)", "(np.sqrt(m) + self.epsilon)", ("test_optimizers.py",)
    ),
    Mutant(
        "optimizers.py", "rate = self.lr / (1 - self.beta1**k)", "rate = self.lr", ("test_optimizers.py",)
    ),
    Mutant("optimizers.py", "v *= self.momentum", "v *= 1", ("test_optimizers.py",)),
    Mutant(
        "optimizers.py", "_average(m, g * g, self.decay)", "_average(m, g * g, 0.9)", ("test_optimizers.py",)
    ),
]
