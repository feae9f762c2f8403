"""`python -m rnnlab.gradcheck`: check the gradients of the network that a command line describes.

It takes the overrides of `python -m rnnlab`, and with -m several values for a key. The network is
checked in float64 on the first training batch and, where the task carries the state on, on the next
one with that state. Exit codes: 0 all gradients are right; 1 one is wrong; 2 a mistake in the input.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rnnlab.app.compose import compose_plan
from rnnlab.app.problems import ConfigProblems
from rnnlab.app.schema import Experiment, InvalidConfig, build, generators
from rnnlab.arrays import Params
from rnnlab.gradcheck import TOLERANCE, GradientCheck, check_model
from rnnlab.gradcheck.checks import METHODS, Method
from rnnlab.paths import conf_dir


def main(argv: Sequence[str]) -> int:
    """Check, print a table for each configuration, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rnnlab.gradcheck", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-m", "--multirun", action="store_true", help="several values of a key, each checked")
    parser.add_argument("--config-dir", help="a folder with options of your own")
    parser.add_argument("overrides", nargs="*", help="as for python -m rnnlab: cell=lstm seq_len=7 …")
    args = parser.parse_args(argv)
    try:
        experiments = _experiments(args.overrides, args.multirun, args.config_dir)
    except ConfigProblems as error:
        for problem in error.problems:
            print(f"rnnlab.gradcheck: {problem}", file=sys.stderr)
        return 2
    console, worst = Console(highlight=False), []
    for name, experiment in experiments.items():
        for occasion, checks in _check(experiment).items():
            console.print(f"[bold]{escape(name)}[/]" + (f", {occasion}" if occasion else ""))
            console.print(_table(checks))
            worst.append(max(checks, key=lambda check: (not check.passed, check.error)))
    failed = [check for check in worst if not check.passed]
    largest = max(check.error for check in failed or worst)
    verdict = f"WRONG in {len(failed)} of {len(worst)} tables" if failed else "all gradients are right"
    console.print(f"{verdict}; largest relative error {largest:.1e}, allowed {TOLERANCE:.0e}")
    return int(bool(failed))


def _experiments(overrides: Sequence[str], multirun: bool, config_dir: str | None) -> dict[str, Experiment]:
    plan = compose_plan(conf_dir(), overrides, multirun, config_dir)
    experiments, problems = {}, list(plan.problems)
    for job in plan.jobs:
        try:
            experiments[job.name] = build(job.config)
        except InvalidConfig as error:
            problems += error.problems
    if problems:
        raise ConfigProblems(problems)
    return experiments


def _check(experiment: Experiment) -> dict[str, list[GradientCheck]]:
    """The checks on the first batch and, where it is continued, on the next."""
    settings, trainer = experiment.settings, experiment.trainer
    weights_rng, batches_rng, _ = generators(settings.seed)
    params: Params = trainer.model.init_params(weights_rng, settings.init, np.dtype(np.float64))
    first, following = (trainer.task.batch(batches_rng, step) for step in (0, 1))
    if not following.continues:
        return {"": check_model(trainer.model, params, first)}
    start_rng = np.random.default_rng(settings.seed)
    carried = trainer.model.forward(params, first, rng=start_rng).cell.final_states()
    return {
        "first batch": check_model(trainer.model, params, first),
        "next batch, state carried": check_model(trainer.model, params, following, carried),
    }


def _table(checks: Sequence[GradientCheck]) -> Table:
    table = Table()
    table.add_column("gradient of")
    for column in ("shape", "norm", *METHODS):
        table.add_column(column, justify="right")
    table.add_column("")
    for check in checks:
        table.add_row(
            check.name,
            " × ".join(map(str, check.shape)),
            f"{check.norm:.2e}",
            *(_shown(check, method) for method in METHODS),
            "[green]right[/]" if check.passed else "[red]WRONG[/]",
        )
    return table


def _shown(check: GradientCheck, method: Method) -> str:
    error = check.error_by(method)
    shown = "–" if error is None else f"{error:.1e}"
    return shown if method == check.method else f"[dim]({shown})[/]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
