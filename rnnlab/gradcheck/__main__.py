"""`python -m rnnlab.gradcheck`: check the gradients of the networks that a command line describes.

It takes the overrides of `python -m rnnlab`; with -m several values of a key make a line each. Without
a cell, a key of one (`cell.bias=false`) or an experiment it checks every cell in conf/cell and in
--config-dir, as `cell=all` does; the last line says what was checked. Each network is checked in float64
on the first training batch and, where the task carries the state on, on the next one with that state.

  x[1]          the first input alone: its gradient is the one that vanishes
  h[0], c[0]    the initial state; h_0, c_0 where it is a parameter
  h[25]         the total gradient at h[25], of the loss of all later steps
  one step h    through one step, as the lag curves go back

Both columns are relative errors. In brackets stands what does not decide: finite differences, where they
cannot see a derivative because it is too small or has a kink beside it; the complex step, where
differences agree. In a chaotic network rounding alone can make a gradient look wrong.

Exit codes: 0 all gradients are right; 1 one is wrong or undecided; 2 a mistake in the input.
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
from rnnlab.app.config.plan import Job
from rnnlab.app.config.validation import InvalidConfig
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
"""Keys that are always told of what was checked."""


@dataclass(frozen=True)
class Report:
    """The checks of one configuration on one batch."""

    job: Job
    occasion: str
    checks: list[GradientCheck]

    @property
    def worst(self) -> GradientCheck:
        """What is wrong, else what is least right."""
        return max(self.checks, key=lambda check: (not check.passed, check.error))


def main(argv: Sequence[str]) -> int:
    """Check, print what was found, return the exit code."""
    parser = CommandParser(
        "rnnlab.gradcheck", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-m", "--multirun", action="store_true", help="several values of a key, each checked")
    parser.add_argument("--config-dir", help="a folder with options of your own")
    parser.add_argument(
        "overrides", nargs="*", help="as for python -m rnnlab: cell=lstm seq_len=7 …; every cell without one"
    )
    args = parser.parse_intermixed_args(argv)
    try:
        experiments = _experiments(args.overrides, args.multirun, args.config_dir)
    except ConfigProblems as error:
        print_problems("rnnlab.gradcheck", error.problems)
        return 2
    reports: list[Report] = []
    with Terminal().status("checking") as status:
        for job, experiment in experiments:
            status.update(f"checking {job.choices['cell']}")
            reports += _check(job, experiment)
    return _show(reports, in_full=len(experiments) == 1)


def _experiments(
    overrides: Sequence[str], multirun: bool, config_dir: str | None
) -> list[tuple[Job, Experiment]]:
    experiments, problems = [], []
    for job in _jobs(overrides, multirun, config_dir):
        try:
            experiments.append((job, build(job.config)))
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise ConfigProblems(list(dict.fromkeys(problems)))
    return experiments


def _jobs(overrides: Sequence[str], multirun: bool, config_dir: str | None) -> list[Job]:
    """What to check, for each cell if none is asked for."""
    cells = loader_of(conf_dir(), config_dir).get_group_options("cell")
    keys = [override.partition("=")[0].lstrip("+~").partition("@")[0] for override in overrides]
    names_cell = any(key in ("cell", "experiment") or key.startswith("cell.") for key in keys)
    all_named = ALL_CELLS in overrides and "all" not in cells
    if names_cell and not all_named:
        return _compose(overrides, multirun, config_dir)
    others = [override for override in overrides if override != ALL_CELLS]
    jobs, problems = [], []
    for cell in cells:
        try:
            of_cell = _compose([*others, f"cell={cell}"], multirun, config_dir)
        except ConfigProblems as error:
            problems += error.problems
        else:
            jobs += [replace(job, sweep_values={"cell": cell} | job.sweep_values) for job in of_cell]
    if problems:
        raise ConfigProblems(list(dict.fromkeys(problems)))
    return jobs


def _compose(overrides: Sequence[str], multirun: bool, config_dir: str | None) -> list[Job]:
    of_one_run = [] if multirun else ["pair=[]"]  # an experiment may pair the axes of its sweep
    plan = compose_plan(conf_dir(), [*overrides, *of_one_run], multirun, config_dir)
    if plan.problems:
        raise ConfigProblems(plan.problems)
    return plan.jobs


def _check(job: Job, experiment: Experiment) -> list[Report]:
    """The checks on the first batch and, where it is continued, on the next."""
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
    """Print every gradient; of several configurations a line each, and in full what is wrong."""
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
    verdict = f"not right in {len(wrong)} of {len(reports)} tables" if wrong else "all gradients are right"
    console.print(Text(f"\nChecked {_scope(reports)}"), soft_wrap=True)
    console.print(f"{verdict}; largest relative error {largest:.1e}, allowed {TOLERANCE:.0e}")
    return int(bool(wrong))


def _scope(reports: Sequence[Report]) -> str:
    """What was checked, as it is typed: nothing is said of other cells, tasks or losses."""
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
    table.add_column("of")
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
    styles = {"right": "green", "wrong": "red", "undecided": "yellow"}
    text = "WRONG" if check.verdict == "wrong" else check.verdict
    return Text(text, styles[check.verdict])


def _format_error(check: GradientCheck, method: Method) -> Text:
    """The error by a method, in brackets if it does not decide."""
    error = check.error_by(method)
    text = "–" if error is None else f"{error:.1e}"
    return Text(text) if method == check.method else Text(f"({text})", "dim")


if __name__ == "__main__":
    run_command(main)
