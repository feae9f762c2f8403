"""Mutants of the measurements in torch and JAX."""

from tests.mutants.mutant import Mutant

LAYERS = ("library/test_watched_layers.py",)
ANY_CELL = ("library/test_any_cell.py",)

FRAMEWORKS = [
    Mutant("torch/layers.py", '"relu" if mode == "RNN_RELU" else "tanh"', '"relu"', LAYERS),
    Mutant("torch/layers.py", '(weights["bias_ih"], weights["bias_hh"])', '(weights["bias_hh"], weights["bias_ih"])', LAYERS),
    Mutant("torch/measuring.py", "if difference > scale * (", "if difference > 9 + (", LAYERS),
    Mutant("torch/measuring.py", "values + np.log(factor)", "values", LAYERS),
    Mutant("torch/backpropagation.py", "named, shift in ((tape.states, 0), (tape.states, 1)", "named, shift in ((tape.states, 1), (tape.states, 1)", LAYERS),
    Mutant("library/any_cell.py", "exponents = exponents + shift", "pass", ANY_CELL),
    Mutant("library/any_cell.py", "w / norm(w)", "w", ANY_CELL),
    Mutant("jax/any_cell.py", 'installed("jax")', '__import__("jax")', ("library/test_frameworks.py",)),
]  # fmt: skip
