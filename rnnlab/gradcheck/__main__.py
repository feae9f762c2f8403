"""Check the gradients of networks that are specified by overrides.

The command accepts the overrides of `python -m rnnlab`. With -m, the output has
one row per combination of values. If no override selects a cell or an experiment
or changes a setting of a cell (such as `cell.bias=false`), the command checks
every cell in conf/cell and in --config-dir, as with `cell=all`. The output lists
the settings of all checked networks. Each network is checked in float64 on the
first training batch. If the task carries the hidden state from batch to batch,
the check also covers the second batch.

  x[1]             the first input, whose gradient vanishes first
  h[0], c[0]       the initial state; named h_0, c_0 if the initial state is learned
  h[25]            the gradient of all later losses with respect to h[25]
  total c[25]      the gradient of all losses with respect to c[25], through all paths,
                   including c[25] → h[25]
  immediate c[49]  the gradient of the loss at time step 49 alone
  z[25]            the gradient with respect to the pre-activations, and
  (W_hh h)[25]     to the recurrent product, for at most three examples
  one step …       the same through a single step, as used by the lag curves;
                   `one step h` is the gradient with respect to the previous state

The columns `differences` and `complex step` contain relative errors. The error of
a method is in brackets if the method does not determine the result. If finite
differences agree with the gradient, the error of the complex-step method is in
brackets.
Finite differences cannot resolve a very small derivative or a derivative near a
kink of the activation function. In a chaotic network, rounding errors alone can
make a correct gradient appear incorrect.

Exit codes: 0 if all gradients are correct; 1 if a gradient is incorrect or
undecided; 2 for invalid input.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.table import Table
from rich.text import Text

from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.loading import loader_of
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.mistakes import all_problems, join_arguments, shorten, split_arguments
from rnnlab.app.config.plan import Job
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.progress import Elapsed, counting_bar
from rnnlab.gradcheck import TOLERANCE, GradientCheck, check_model
from rnnlab.gradcheck.checks import METHODS, Method
from rnnlab.paths import conf_dir
from rnnlab.terminal.command import run_command
from rnnlab.terminal.console import CommandParser, Terminal, print_problems

PIPE_WIDTH = 120
ALL_CELLS = "cell=all"
SCOPE_KEYS = (
    *("cell", "task", "init", "initial_state", "loss", "loss_reduction"),
    *("seq_len", "hidden_size", "batch_size", "seed"),
)
"""Configuration keys that are always printed with the result."""


@dataclass(frozen=True)
class Report:
    """Checks of one configuration on one batch."""

    job: Job
    occasion: str
    checks: list[GradientCheck]

    @property
    def worst(self) -> GradientCheck:
        """Return the check with the largest error, among the failed checks if any check failed."""
        return max(self.checks, key=lambda check: (not check.passed, check.error))


def main(argv: Sequence[str]) -> int:
    """Run the checks, print the results and return the exit code."""
    parser = CommandParser(
        "rnnlab.gradcheck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="check every combination of comma-separated values"
    )
    parser.add_argument("--config-dir", help="folder with user-defined configuration files")
    parser.add_argument(
        "overrides",
        nargs="*",
        help="overrides as in python -m rnnlab, such as cell=lstm (default: every cell)",
    )
    args = parser.parse_intermixed_args(argv)
    try:
        experiments = _experiments(args.overrides, args.multirun, args.config_dir)
    except ConfigProblems as error:

        def attempt(arguments: list[str], uncertain: UncertainKeys) -> None:
            overrides, folder = split_arguments(arguments)
            _experiments(overrides, args.multirun, folder, uncertain)

        arguments = join_arguments(args.overrides, args.config_dir)
        print_problems("rnnlab.gradcheck", shorten(all_problems(error, arguments, attempt)))
        return 2
    reports: list[Report] = []
    with counting_bar(Terminal(), "networks", Elapsed()) as progress:
        bar = progress.add_task("Checking gradients", total=len(experiments))
        for job, experiment in experiments:
            reports += _check(job, experiment)
            progress.advance(bar)
    return _show(reports, in_full=len(experiments) == 1)


def _experiments(
    overrides: Sequence[str],
    multirun: bool,
    config_dir: str | None,
    uncertain: UncertainKeys = NO_UNCERTAIN_KEYS,
) -> list[tuple[Job, Experiment]]:
    experiments, problems = [], []
    for job in _jobs(overrides, multirun, config_dir):
        try:
            experiments.append((job, build(job.config, uncertain=uncertain)))
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise ConfigProblems(list(dict.fromkeys(problems)))
    return experiments


def _jobs(overrides: Sequence[str], multirun: bool, config_dir: str | None) -> list[Job]:
    """Return the jobs to check, with one job per cell if the overrides do not select a cell."""
    cells = loader_of(conf_dir(), config_dir).get_group_options("cell")
    keys = [override.partition("=")[0].lstrip("+~").partition("@")[0] for override in overrides]
    names_cell = any(key in ("cell", "experiment") or key.startswith("cell.") for key in keys)
    names_all_cells = ALL_CELLS in overrides and "all" not in cells
    if names_cell and not names_all_cells:
        return _compose(overrides, multirun, config_dir)
    others = [override for override in overrides if override != ALL_CELLS]
    jobs, problems = [], []
    for cell in cells:
        try:
            cell_jobs = _compose([*others, f"cell={cell}"], multirun, config_dir)
        except ConfigProblems as error:
            problems += error.problems
        else:
            jobs += [replace(job, sweep_values={"cell": cell} | job.sweep_values) for job in cell_jobs]
    if problems:
        raise ConfigProblems(list(dict.fromkeys(problems)))
    return jobs


def _compose(overrides: Sequence[str], multirun: bool, config_dir: str | None) -> list[Job]:
    unpaired = [] if multirun else ["pair=[]"]  # an experiment may pair the axes of its sweep
    plan = compose_plan(conf_dir(), [*overrides, *unpaired], multirun, config_dir)
    if plan.problems:
        raise ConfigProblems(plan.problems)
    return plan.jobs


def _check(job: Job, experiment: Experiment) -> list[Report]:
    """Return the checks on the first batch and, if the state is carried over, on the second batch."""
    settings, model, task = experiment.settings, experiment.trainer.model, experiment.trainer.task
    weights_rng, batches_rng, _ = generators(settings.seed)
    params = model.init_params(weights_rng, settings.init, np.dtype(np.float64))
    first, following = (task.batch(batches_rng, step) for step in (0, 1))
    if not following.continues:
        return [Report(job, "first batch", check_model(model, params, first))]
    start_rng = np.random.default_rng(settings.seed)
    carried = model.forward(params, first, rng=start_rng).cell.final_states()
    return [
        Report(job, "first batch", check_model(model, params, first)),
        Report(job, "next batch, state carried", check_model(model, params, following, carried)),
    ]


def _show(reports: Sequence[Report], in_full: bool) -> int:
    """Print all checks of one configuration, or a summary of several configurations and the failed checks."""
    console = Terminal()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if not in_full:
        console.print(_summary(reports))
    for report in reports:
        if in_full or not report.worst.passed:
            name = " ".join(dict.fromkeys([report.job.choices["cell"], *report.job.name.split(" ")]))
            console.print(Text(f"\n{name}, {report.occasion}", "bold"))
            console.print(_table(report.checks))
    wrong = [report.worst for report in reports if not report.worst.passed]
    largest = max(check.error for check in wrong or [report.worst for report in reports])
    failed = f"gradients are incorrect or undecided in {len(wrong)} of {len(reports)} cases"
    verdict = failed if wrong else "all gradients are correct"
    console.print(Text(f"\nChecked {_scope(reports)}"), soft_wrap=True)
    console.print(f"{verdict}; largest relative error {largest:.1e}, tolerance {TOLERANCE:.0e}")
    return int(bool(wrong))


def _scope(reports: Sequence[Report]) -> str:
    """Return the settings of the checked networks, formatted as overrides."""
    jobs = [report.job for report in reports]
    keys = dict.fromkeys([*SCOPE_KEYS, *(key for job in jobs for key in job.sweep_values)])
    values = {key: dict.fromkeys(_value(job, key) for job in jobs) for key in keys}
    text = " ".join(f"{key}={','.join(some)}" for key, some in values.items())
    return f"{text}: {sum(len(report.checks) for report in reports)} gradients"


def _value(job: Job, key: str) -> str:
    value = job.choices.get(key) or job.sweep_values.get(key, job.config.get(key))
    return "null" if value is None else str(value)


def _summary(reports: Sequence[Report]) -> Table:
    axes = list(dict.fromkeys(key for report in reports for key in report.job.sweep_values))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for axis in (*axes, "batch"):
        table.add_column(axis)
    for column in ("gradients", "smallest norm", "largest error"):
        table.add_column(column, justify="right")
    table.add_column("gradient of")
    table.add_column("")
    for report in reports:
        smallest = min((check.norm for check in report.checks if check.norm > 0), default=0.0)
        table.add_row(
            *(Text(report.job.sweep_values.get(axis, "")) for axis in axes),
            report.occasion.split()[0],
            str(len(report.checks)),
            f"{smallest:.0e}",
            f"{report.worst.error:.1e}",
            Text(report.worst.name),
            _verdict(report.worst),
        )
    return table


def _table(checks: Sequence[GradientCheck]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("gradient of")
    for column in ("shape", "norm", *METHODS):
        table.add_column(column, justify="right")
    table.add_column("")
    for check in checks:
        table.add_row(
            Text(check.name),
            " × ".join(map(str, check.shape)),
            f"{check.norm:.2e}",
            *(_format_error(check, method) for method in METHODS),
            _verdict(check),
        )
    return table


def _verdict(check: GradientCheck) -> Text:
    text, style = {
        "right": ("correct", "green"),
        "wrong": ("WRONG", "red"),
        "undecided": ("undecided", "yellow"),
    }[check.verdict]
    return Text(text, style)


def _format_error(check: GradientCheck, method: Method) -> Text:
    """Return the error of a method, in brackets if the method does not determine the result."""
    error = check.error_by(method)
    text = "–" if error is None else f"{error:.1e}"
    return Text(text) if method == check.method else Text(f"({text})", "dim")


if __name__ == "__main__":
    run_command(main)
