"""Mutants of the user interface: analysis, command line, commands, messages, signals, files."""

from tests.mutants.mutant import Mutant

MEMORY = "app/test_memory_limit.py::test_a_small_machine_reports_how_many_runs_fit_at_once"

SURFACE = [
    Mutant(
        "analysis/frames/identity.py",
        "np.isnan(a) & np.isnan(b)",
        "np.isnan(a) | np.isnan(b)",
        ("analysis/test_identity.py",),
    ),
    Mutant(
        "analysis/figures/intervals.py", "LEVEL = 0.95", "LEVEL = 0.9", ("analysis/test_sweep_scalars.py",)
    ),
    Mutant("analysis/figures/intervals.py", '"wilson"', '"exact"', ("analysis/test_sweep_scalars.py",)),
    Mutant(
        "analysis/figures/intervals.py",
        "MIN_REPLICATES = 3",
        "MIN_REPLICATES = 2",
        ("analysis/test_replicates.py",),
    ),
    Mutant(
        "analysis/figures/grouping.py",
        'return labels | {f"detail {axis}": label_missing(to_labels(rows[axis])) for axis in self.detail}',
        'return labels | {f"detail {axis}": "" for axis in self.detail}',
        ("analysis/test_replicates.py",),
    ),
    Mutant(
        "analysis/figures/grouping.py",
        'labels["style"] = label_missing(labels["style"])',
        "pass",
        ("analysis/test_sweep_scalars.py",),
    ),
    Mutant(
        "analysis/figures/selection.py",
        "if axes := find_detail_axes(rows, [], GRADIENT_COLUMNS):",
        "if axes := []:",
        ("analysis/test_replicates.py",),
    ),
    Mutant(
        "analysis/figures/phase_diagram.py",
        "if rest := _detail_axes(drawn_runs, [x, y, *filter(None, facets.values())]):",
        "if rest := []:",
        ("analysis/test_replicates.py", "analysis/test_phase_diagram.py"),
    ),
    Mutant(
        "analysis/figures/phase_diagram.py",
        "label_missing(labels)",
        "labels",
        ("analysis/test_phase_diagram.py",),
    ),
    Mutant(
        "analysis/figures/axis_scale.py",
        "between = len(numbers) - 1",
        "between = len(numbers)",
        ("analysis/test_sweep_scalars.py",),
    ),
    Mutant(
        "analysis/figures/phase_diagram.py",
        "counts.iloc[0] > counts.iloc[1] else",
        "True else",
        ("analysis/test_phase_diagram.py",),
    ),
    Mutant(
        "analysis/report/conditions.py",
        'runs[runs["outcome"] != "diverged"]',
        "runs",
        ("analysis/test_report.py",),
    ),
    Mutant(
        "analysis/report/conditions.py",
        "if len(numbers) < MIN_REPLICATES:",
        "if len(numbers) < 2:",
        ("analysis/test_conditions.py",),
    ),
    Mutant(
        "analysis/report/comparison.py",
        "if found.low is not None and found.low <= 0:",
        "if False:",
        ("analysis/test_answer.py",),
    ),
    Mutant(
        "analysis/report/comparison.py",
        "paired = Estimate.of(first - second)",
        "paired = Estimate.of(first - second.to_numpy()[: len(first)])",
        ("analysis/test_answer.py",),
    ),
    Mutant(
        "analysis/report/axis_effects.py",
        "apart = products - np.diag(np.diag(products))",
        "apart = products",
        ("analysis/test_axis_effects.py",),
    ),
    Mutant(
        "analysis/report/inline_svg.py",
        "if prefix + name in targets:",
        "if name:",
        ("analysis/test_inline_svg.py",),
    ),
    Mutant(
        "analysis/report/number_text.py",
        'return "0.0" if float(text) == 0 else text.replace("-", "−")',
        'return text.replace("-", "−")',
        ("analysis/test_number_text.py",),
    ),
    Mutant(
        "analysis/report/encodings.py",
        "and not _follows(runs, independent, axis)",
        "",
        ("analysis/test_encodings.py",),
    ),
    Mutant(
        "app/config/sweep_axes.py",
        "if jobs <= MAX_JOBS:\n        return",
        "if jobs <= 10 * MAX_JOBS:\n        return",
        ("app/test_sweep_axes.py", "app/test_messages.py"),
    ),
    Mutant(
        "app/config/mistakes.py",
        "if not rest.explains(problem)",
        "",
        ("app/test_all_mistakes.py",),
    ),
    Mutant(
        "app/config/mistakes.py",
        "keys |= {_key_of(argument) for argument in at_fault}",
        "",
        ("app/test_all_mistakes.py",),
    ),
    Mutant(
        "app/results_table.py",
        "max(column.width - excess, MIN_OUTCOME_WIDTH)",
        "column.width",
        ("app/test_display.py",),
    ),
    Mutant(
        "text.py",
        "if sum(character.isdigit() for character in text) <= MAX_DIGITS:",
        "if True:",
        ("test_text.py",),
    ),
    Mutant(
        "app/config/pairing.py",
        "sizes.get(key, 1) < 2",
        "sizes.get(key, 1) < 1",
        ("app/test_compose.py::test_an_invalid_pair_is_reported_in_one_line",),
    ),
    Mutant(
        "app/config/suggestions.py",
        "CUTOFF = 0.65",
        "CUTOFF = 0.95",
        ("app/test_messages.py::test_a_nonexistent_experiment",),
    ),
    Mutant("app/config/memory_limit.py", "total <= available:", "total <= 2 * available:", (MEMORY,)),
    Mutant("app/config/memory_limit.py", "sum(largest) <= available:", "True:", (MEMORY,)),
    Mutant(
        "app/config/validation.py",
        "if isinf(rounded):",
        "if False:",
        ("app/test_number_range.py::test_a_number_beyond_the_range_is_refused",),
    ),
    Mutant(
        "app/jobs/resume.py",
        "outside = {*KEYS_OUTSIDE_IDENTITY, ENGINE}",
        "outside: set[str] = set()",
        ("app/test_resume.py::test_every_key_with_an_effect_is_part_of_the_identity",),
    ),
    Mutant(
        "app/jobs/run_monitor.py",
        '"finished" if self.unstable_since is None else "unstable"',
        '"finished"',
        ("app/test_outcomes.py::test_the_sweep_continues_after_a_failure",),
    ),
    Mutant("app/launchers/pool.py", "worker.process.exitcode or 0", "0", ("app/test_pool.py",)),
    Mutant(
        "app/launch.py",
        "int(self.failed)",
        "0",
        ("app/test_faults.py::test_fail_fast_ends_all_when_one_fails",),
    ),
    Mutant(
        "commands/sync.py",
        "MAX_FAILURES = 2",
        "MAX_FAILURES = 20",
        ("commands/test_sync.py::test_a_store_that_fails_twice_in_a_row_is_not_tried_again",),
    ),
    Mutant("commands/compare.py", "second - first:", "first - second:", ("commands/test_compare.py",)),
    Mutant(
        "commands/repeat.py",
        "        return 0\n",
        "        return 1\n",
        ("commands/test_repeat.py::test_a_run_is_repeated_by_its_folder",),
    ),
    Mutant(
        "commands/show.py",
        "goal.below:.5g",
        "goal.baseline:.5g",
        ("commands/test_show.py::test_shows_sequences_from_which_the_target_can_be_derived",),
    ),
    Mutant("text.py", '"token", "secret"', '"secret"', ("security/test_words.py",)),
    Mutant("text.py", "share < 0.005", "share < 0.05", ("test_text.py",)),
    Mutant(
        "signals.py",
        "if not self.count or number == signal.SIGINT:",
        "if True:",
        ("test_signals.py",),
    ),
    Mutant(
        "terminal/streams.py",
        "self.lost = self.lost or error",
        "pass",
        ("app/test_streams.py::test_a_command_that_only_prints_fails_if_its_output_cannot_be_written",),
    ),
    Mutant("user_files.py", "if len(members) != 1:", "if not members:", ("test_user_files.py", "tasks")),
    Mutant(
        "records.py",
        '"grad/norm_p90": 0.9',
        '"grad/norm_p90": 0.95',
        ("app/test_launch.py::test_the_summary_has_quantiles_of_the_norms",),
    ),
    Mutant(
        "metric_table.py",
        'Metric(CLIP_COSINE, "step"',
        'Metric(CLIP_COSINE, "validation"',
        ("test_metric_table.py",),
    ),
]
