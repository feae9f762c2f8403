"""Mutants of the training loop, its memory estimate, the run folder and its copy in MLflow."""

from tests.mutants.mutant import Mutant

MEMORY = ("test_memory.py",)
TRAINING = ("test_training.py", "test_training_state.py")
DIRECTION = ("diagnostics/test_gradient_direction.py",)
MIRRORED = ("mlflow_mirror/test_mirrored_run.py", "mlflow_mirror/test_mirror.py")

TRAINING_LOOP = [
    Mutant("training/memory_estimate.py", "+ of_optimizer", "", MEMORY),
    Mutant("training/memory_estimate.py", "TRAINING_COPIES = 8", "TRAINING_COPIES = 3", MEMORY),
    Mutant("training/memory_estimate.py", "(MEASUREMENT_COPIES if probe.measurements else 0)", "0", MEMORY),
    Mutant("training/memory_estimate.py", "size * (H + 3 * Y)", "size * H", MEMORY),
    Mutant("training/memory_estimate.py", "size * (H + 3 * Y)", "size * 3 * Y", MEMORY),
    Mutant("training/memory_estimate.py", "size * both * H + of_input", "size * both * H", MEMORY),
    Mutant("training/memory_estimate.py", "size * both * H + of_input", "of_input", MEMORY),
    Mutant("training/memory_estimate.py", "size * before * H + of_input", "of_input", MEMORY),
    Mutant(
        "engine/backward_loop.py", "return alone + len(blocks) + len(coefficients) + 1", "return 0", MEMORY
    ),
    Mutant("engine/forward_loop.py", "return gates + len(cell.states)", "return gates", MEMORY),
    Mutant(
        "training/memory_estimate.py",
        "examples * (time * self.steps + outputs * self.outputs)",
        "examples * time * self.steps",
        MEMORY,
    ),
    Mutant(
        "training/memory_estimate.py",
        "stored = validation.kept * validation.time * (of_input if of_input > SYMBOL_BYTES else 1)",
        "stored = 0",
        MEMORY,
    ),
    Mutant(
        "training/memory_estimate.py",
        "stored + forward.of(validation.batch,",
        "forward.of(validation.batch,",
        MEMORY,
    ),
    Mutant(
        "training/memory_estimate.py",
        "stored + forward.of(validation.batch, validation.time, outputs(validation.time))",
        "stored",
        MEMORY,
    ),
    Mutant(
        "training/memory_estimate.py",
        "measured = both_ways.of(probe.examples, length, outputs(length))",
        "measured = 0",
        MEMORY,
    ),
    Mutant("diagnostics/lyapunov.py", "return sizes.forward(1, steps + 2 * warm_up) +", "return", MEMORY),
    Mutant("diagnostics/lyapunov.py", " + 2 * 8 * steps * min(exponents, states)", "", MEMORY),
    Mutant(
        "diagnostics/jacobians.py",
        "(MATRICES * n * n + tape)",
        "(tape)",
        MEMORY,
    ),
    Mutant("diagnostics/jacobians.py", "(MATRICES * n * n + tape)", "(MATRICES * n * n)", MEMORY),
    Mutant("training/trainer.py", "state.gradients = raw_grads if", "state.gradients = grads if", DIRECTION),
    Mutant(
        "training/trainer.py",
        "params, due = state.params, list(self.probe.measurements)",
        "params, due = state.params, []",
        TRAINING,
    ),
    Mutant("training/parts.py", "self.total / self.count", "self.total", TRAINING),
    Mutant("training/validation.py", "if stopping():", "if False:", ("app/test_run_job.py",)),
    Mutant("training/state.py", "self.factor * chance", "chance", TRAINING),
    Mutant(
        "training/state_validation.py",
        "not (array < 0).any()",
        "True",
        ("app/test_restoring.py::test_an_impossible_state_restarts_the_run",),
    ),
    Mutant(
        "runs/files.py",
        "        os.replace(scratch, path)",
        "        scratch.rename(path.with_suffix('.x'))",
        ("runs/test_files.py",),
    ),
    Mutant("runs/files.py", '.rfind(b"\\n") + 1', '.rfind(b"\\n")', ("runs",)),
    Mutant(
        "runs/checkpoint.py",
        "self._sum.update(data)",
        "pass",
        ("runs/test_folder.py::test_a_checkpoint_detects_every_changed_bit_of_its_files",),
    ),
    Mutant(
        "runs/metrics_jsonl.py",
        "isfinite(value))",
        "True)",
        ("runs/test_folder.py::test_a_row_with_a_non_number_counts_as_damaged",),
    ),
    Mutant(
        "runs/gradient_table.py",
        "mask=~np.isfinite(values)",
        "mask=np.isnan(values)",
        ("runs/test_gradient_table.py",),
    ),
    Mutant(
        "runs/advance.py",
        'info.get("outcome") in ENDED',
        "True",
        (
            "commands/test_sync.py::test_the_most_advanced_copy_is_sent",
            "analysis/test_frames.py::test_a_finished_copy_takes_precedence_over_one_with_more_steps",
        ),
    ),
    Mutant("mlflow_mirror/mirrored_run.py", "max(1, -(-int(info", "max(1, (int(info", MIRRORED),
    Mutant("mlflow_mirror/new_run.py", "return round(1000 * seconds)", "return round(seconds)", MIRRORED),
    Mutant(
        "mlflow_mirror/charts.py", "if axis not in REPLICATES] or", "] or", ("mlflow_mirror/test_charts.py",)
    ),
    Mutant(
        "mlflow_mirror/charts.py",
        '"orderByAsc": True',
        '"orderByAsc": False',
        ("mlflow_mirror/test_charts.py",),
    ),
]
