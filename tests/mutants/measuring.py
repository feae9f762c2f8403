"""Mutants of the diagnostics, the tasks, the gradient checker and the textbook."""

from tests.mutants.mutant import Mutant

GAIN = ("diagnostics/test_gain_and_horizon.py",)

MEASURING = [
    Mutant(
        "diagnostics/gain_and_horizon.py",
        "overall = _gain(curve, 1, longest)",
        "overall = _gain(curve, 0, longest)",
        GAIN,
    ),
    Mutant(
        "diagnostics/gain_and_horizon.py", "HORIZON_FRACTION = 1 / 100", "HORIZON_FRACTION = 1 / 10", GAIN
    ),
    Mutant("diagnostics/gain_and_horizon.py", "max(1, -(-longest // 2))", "1", GAIN),
    Mutant("diagnostics/gain_and_horizon.py", "return 0.0\n", "return None\n", GAIN),
    Mutant(
        "diagnostics/lag_curves.py",
        "log_scale[t - 1] = exponents",
        "log_scale[t - 1] = 0 * exponents",
        ("diagnostics/test_lag_curves.py",),
    ),
    Mutant(
        "diagnostics/norms.py",
        "log_norm_of_steps(a[None]).reshape(-1, batch) + np.log(batch)",
        "log_norm_of_steps(a[None]).reshape(-1, batch)",
        ("diagnostics/test_norms.py",),
    ),
    Mutant(
        "diagnostics/contributions.py",
        "0.5 * np.log(square)",
        "np.log(square)",
        ("diagnostics/test_contributions.py",),
    ),
    Mutant(
        "diagnostics/lyapunov.py",
        "snapshot.inputs.long(steps + 2 * warm_up)",
        "snapshot.inputs.long(steps + 3 * warm_up)",
        ("diagnostics/test_jacobians.py",),
    ),
    Mutant(
        "library/measuring.py",
        "@one_blas_thread()\n",
        "",
        ("library/test_measuring.py::test_loops_over_time_steps_use_one_blas_thread",),
    ),
    Mutant(
        "diagnostics/jacobians.py",
        "J[:, :, units, q, units] += deltas",
        "J[:, :, units, q, units] -= deltas",
        ("diagnostics/test_jacobians.py",),
    ),
    Mutant(
        "diagnostics/jacobians.py",
        "-_log_largest(inverse) - log_scale[1]",
        "-_log_largest(inverse)",
        ("diagnostics/test_jacobians.py",),
    ),
    Mutant(
        "diagnostics/mean_field.py",
        "return 0.5 * log(self.χ, 10)",
        "return log(self.χ, 10)",
        ("diagnostics/test_theory.py",),
    ),
    Mutant("diagnostics/statistics.py", "ddof=1", "ddof=0", ("diagnostics/test_statistics.py",)),
    Mutant(
        "diagnostics/gates.py", "(activations > OPEN)", "(activations > 0.8)", ("diagnostics/test_gates.py",)
    ),
    Mutant(
        "diagnostics/schedule.py",
        "self.rest = SPIKE_WINDOW",
        "self.rest = 0",
        ("diagnostics/test_schedule.py",),
    ),
    Mutant(
        "diagnostics/parameters.py",
        "update / weight if weight > 0",
        "update if weight > 0",
        ("diagnostics/test_parameters.py",),
    ),
    Mutant(
        "diagnostics/first_non_finite.py",
        "timestep, name = max(candidates,",
        "timestep, name = min(candidates,",
        ("diagnostics/test_first_non_finite.py",),
    ),
    Mutant("tasks/adding.py", "0.5 + total / 4", "total / 4", ("tasks/test_adding.py",)),
    Mutant(
        "tasks/multiplication.py",
        "(1 - first) / 9 + first / 3",
        "(1 - first) / 9 + first / 2",
        ("tasks/test_multiplication.py",),
    ),
    Mutant(
        "tasks/latch.py",
        "return self.seq_len - self.information",
        "return self.seq_len",
        ("tasks/test_latch.py",),
    ),
    Mutant(
        "tasks/temporal_order.py",
        "y[0] += symbol * 2**index",
        "y[0] += symbol * index",
        ("tasks/test_temporal_order.py",),
    ),
    Mutant(
        "tasks/scores.py",
        ".all(axis=0)] = -1",
        ".all(axis=0)] = 0",
        ("test_verdict.py", "test_training.py", "tasks"),
    ),
    Mutant(
        "gradcheck/derivatives.py", "(4**order - 1)", "(2**order - 1)", ("gradcheck/test_derivatives.py",)
    ),
    Mutant("gradcheck/checks.py", "TOLERANCE = 1e-7", "TOLERANCE = 1e-3", ("gradcheck",)),
    Mutant("textbook/kumar.py", "np.outer(dE_dg, x)", "np.outer(dE_dq, x)", ("textbook/test_kumar.py",)),
]
