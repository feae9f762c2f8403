"""Print and draw a few examples of a task.

The command accepts the same overrides as `python -m rnnlab`. The command prints a description of the
task and some example sequences with their targets, and saves a figure of these sequences as a PNG file.

Example: python -m rnnlab.show task=adding seq_len=12
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from inspect import getdoc
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.mistakes import all_problems, join_arguments, shorten, split_arguments
from rnnlab.app.config.plan import Job
from rnnlab.app.config.uncertain_keys import NO_UNCERTAIN_KEYS, UncertainKeys
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.arrays import Array
from rnnlab.engine.weights import is_symbols
from rnnlab.model import Batch
from rnnlab.paths import conf_dir
from rnnlab.runs.files import refuse_links
from rnnlab.tasks import Task
from rnnlab.tasks.loss_units import loss_unit
from rnnlab.terminal.console import CommandParser, Terminal, nonempty_name, output_exit_code, print_problems
from rnnlab.text import format_sample, one_line, sanitize

EXAMPLES = 4
FOLDER = Path("outputs/show")
PIPE_WIDTH = 100
MAX_BLOCKS = 5
"""Maximum number of blocks printed per sequence; each block is as wide as the terminal."""
MAX_ROWS = 8
"""Maximum number of input rows to print."""
LENGTHS_TRIED = 200
NO_TARGET = "·"


def main(argv: Sequence[str]) -> int:
    """Show a task and return the exit code (2 for invalid input)."""
    parser = CommandParser("rnnlab.show", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--examples", type=int, default=EXAMPLES, help="number of examples to show (default: %(default)s)"
    )
    parser.add_argument(
        "--config-dir", type=nonempty_name, help="folder with user-defined configuration files"
    )
    parser.add_argument(
        "overrides", nargs="*", help="overrides as in python -m rnnlab, such as task=adding seq_len=12"
    )
    args = parser.parse_intermixed_args(argv)
    option_problems = [f"--examples={args.examples}: must be a positive integer"] if args.examples < 1 else []

    def attempt(arguments: list[str], uncertain: UncertainKeys) -> tuple[Job, Experiment]:
        overrides, folder = split_arguments(arguments)
        return _compose([*overrides, f"batch_size={max(args.examples, 1)}"], folder, uncertain)

    arguments = join_arguments(args.overrides, args.config_dir)
    try:
        job, experiment = attempt(arguments, NO_UNCERTAIN_KEYS)
        if option_problems:
            raise ConfigProblems([])
    except ConfigProblems as error:
        problems = all_problems(error, arguments, attempt)
        print_problems("rnnlab.show", shorten([*option_problems, *problems]))
        return 2
    task = experiment.trainer.task
    _, rng, _ = generators(experiment.settings.seed)
    batch = task.batch(rng, 0)
    console = Terminal()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    _print_facts(console, job, experiment)
    for example in range(batch.size):
        console.print(Text(f"\nexample {example + 1}", "bold"))
        _print_example(console, task, batch, example)
    name = job.choices["task"]
    path = FOLDER / f"{name}.png"
    try:
        _draw(task, batch, path)
    except OSError as error:
        print_problems("rnnlab.show", [f"{path}: cannot be written ({error.strerror})"])
        return 2
    console.print(f"\nFigure: {path}")
    return output_exit_code()


def _compose(
    overrides: list[str], config_dir: str | None, uncertain: UncertainKeys
) -> tuple[Job, Experiment]:
    plan = compose_plan(conf_dir(), [*overrides, "pair=[]"], False, config_dir)  # pair applies to sweeps only
    (job,) = plan.jobs
    try:
        return job, build(job.config, uncertain=uncertain)
    except InvalidConfig as error:
        raise ConfigProblems(error.problems) from error


def _print_facts(console: Console, job: Job, experiment: Experiment) -> None:
    task, loss = experiment.trainer.task, experiment.trainer.model.loss
    goal = task.goal(loss)
    console.print(Text(f"{job.choices['task']}, seq_len={task.seq_len}", "bold"))
    console.print(_describe_task(task))
    facts = {
        "sequence": _describe_length(task),
        "input": _list_names(task.input_names, task.input_size),
        "output": _list_names(task.output_names, task.output_size),
        "lag": "not fixed" if task.lag is None else f"{task.lag} time steps",
        "loss": f"{loss}, shown as {loss_unit(task, loss).name}",
        "metric": f"{goal.metric}, baseline {goal.baseline:.5g}",
        "solved": "no criterion" if goal.criterion is None else f"{goal.criterion} < {goal.below:.5g}",
        "validation": _describe_validation(task),
    } | ({"remarks": "\n".join(map(one_line, task.remarks))} if task.remarks else {})
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, fact in facts.items():
        table.add_row(Text(name, "dim"), Text(fact))
    console.print(table)


def _describe_length(task: Task) -> str:
    """Describe the sequence length and, if the length varies, its range across batches."""
    rng = np.random.default_rng(0)
    lengths = {task.batch(rng, step).time for step in range(LENGTHS_TRIED)}
    varies = f" ({min(lengths)} to {max(lengths)} across batches)" if len(lengths) > 1 else ""
    return f"{task.time} time steps{varies}"


def _describe_validation(task: Task) -> str:
    batches = list(task.validation())
    if any(batch.continues for batch in batches):
        targets = sum(batch.y.size if batch.mask is None else int(batch.mask.sum()) for batch in batches)
        return f"{targets} targets in {batches[0].size} streams"
    return f"{sum(batch.size for batch in batches)} sequences"


def _list_names(names: Sequence[str], size: int) -> str:
    visible = [_printable_name(name) for name in names]
    return f"{size}: {' '.join(visible if size <= 12 else [*visible[:8], '…', visible[-1]])}"


def _describe_task(task: Task) -> str:
    """Return the first line of the docstring of the task's module."""
    return (getdoc(sys.modules[type(task).__module__]) or "").partition("\n")[0]


def _printable_name(name: str) -> str:
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(name, sanitize(name))


def _print_example(console: Console, task: Task, batch: Batch, example: int) -> None:
    """Print one row per input or target and one column per time step, in blocks as wide as the terminal."""
    inputs = dict(_input_rows(task, batch, example))
    rows = dict(list(inputs.items())[:MAX_ROWS]) | dict(_target_rows(task, batch, example))
    margin = max(map(len, rows)) + 2
    width = max(max(map(len, cells)) for cells in rows.values())
    gap = 0 if width == 1 else 1
    fitting = max((console.width - margin) // (width + gap), 1)
    starts = list(range(0, end := _count_steps(batch, example), fitting))
    if len(starts) > MAX_BLOCKS:  # keep the start, and the end with the answer
        starts = [*starts[: MAX_BLOCKS - 1], end - fitting]
    for block, start in enumerate(starts):
        if block and (omitted := start - starts[block - 1] - fitting) > 0:
            console.print(Text(f"{' ' * margin}… {omitted} more time steps …", "dim"))
        elif block:
            console.print()
        for name, cells in rows.items():
            line = (" " * gap).join(cell.rjust(width) for cell in cells[start : min(start + fitting, end)])
            console.print(Text.assemble((name.ljust(margin), "dim"), line), soft_wrap=True)
        if len(inputs) > MAX_ROWS:
            console.print(Text(f"… {len(inputs) - MAX_ROWS} more inputs", "dim"))


def _input_rows(task: Task, batch: Batch, example: int) -> Iterator[tuple[str, list[str]]]:
    x = batch.x[..., example]
    if is_symbols(batch.x):
        yield "input", [_printable_name(task.input_names[symbol]) for symbol in x]
        return
    for name, values in zip(task.input_names, x.T, strict=True):
        yield name, [format_sample(value) for value in values]


def _target_rows(task: Task, batch: Batch, example: int) -> Iterator[tuple[str, list[str]]]:
    before = [NO_TARGET] * batch.first_output
    y, present = batch.y[..., example], _target_mask(batch, example)
    if batch.y.ndim == 2:
        cells = [_printable_name(task.output_names[label]) for label in y]
        yield "target", before + [cell if p else NO_TARGET for cell, p in zip(cells, present, strict=True)]
        return
    for name, values in zip(task.output_names, y.T, strict=True):
        row = [format_sample(value) if p else NO_TARGET for value, p in zip(values, present, strict=True)]
        yield name if name == "target" else f"target {name}", before + row


def _count_steps(batch: Batch, example: int) -> int:
    """Return the time step of the last target; all later time steps are padding."""
    return batch.first_output + int(np.flatnonzero(_target_mask(batch, example))[-1]) + 1


def _target_mask(batch: Batch, example: int) -> Array:
    return np.ones(len(batch.y), bool) if batch.mask is None else batch.mask[:, example]


def _draw(task: Task, batch: Batch, path: Path) -> None:
    """Draw one panel per example, stacked vertically."""
    from rnnlab.analysis.figures.examples import Example, draw_examples
    from rnnlab.analysis.figures.literal_text import allow_odd_names
    from rnnlab.analysis.figures.picture_files import save_picture

    examples = [
        Example(
            inputs=batch.x[: (end := _count_steps(batch, example)), ..., example],
            targets=batch.y[: end - batch.first_output, ..., example],
            present=_target_mask(batch, example)[: end - batch.first_output],
            input_names=[_printable_name(name) for name in task.input_names],
            output_names=[_printable_name(name) for name in task.output_names],
        )
        for example in range(batch.size)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_links(path.parent, FOLDER.parent)
    with allow_odd_names():
        save_picture(draw_examples(examples, _describe_task(task)), path, path.parent, dpi=120)
