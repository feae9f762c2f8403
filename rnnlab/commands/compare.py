"""List the differences between two runs.

Specify each run by its run folder or its MLflow run id. The command compares the configuration, outcome,
summary, code version and machine of the two runs.
To check that a run is reproducible, use `python -m rnnlab.repeat`.
"""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from rnnlab.analysis.frames.compare import compare_runs
from rnnlab.analysis.frames.runs_frame import DAMAGED, RunEntry
from rnnlab.analysis.frames.sources import find_run
from rnnlab.records import CONFIG_FILE
from rnnlab.terminal.console import CommandParser, Terminal, nonempty_name, output_exit_code, print_problems
from rnnlab.text import explain, loss_unit_from_info


def main(argv: Sequence[str]) -> int:
    """Print the differences and return the exit code (2 if a run cannot be read)."""
    parser = CommandParser("rnnlab.compare", description=__doc__)
    parser.add_argument("first", type=nonempty_name, help="MLflow run id or run folder")
    parser.add_argument("second", type=nonempty_name, help="MLflow run id or run folder")
    parser.add_argument(
        "--uri",
        help="MLflow tracking URI (default: MLFLOW_TRACKING_URI, or else mlflow.db in the current folder)",
    )
    args = parser.parse_args(argv)
    try:
        first, second = (RunEntry(find_run(run, args.uri)) for run in (args.first, args.second))
    except (ValueError, ConnectionError) as error:
        return _refuse(str(error))
    for name, run in ((args.first, first), (args.second, second)):
        if run.row["outcome"] == DAMAGED:
            return _refuse(f"{name}: {run.problem}")
        if not run.config:
            return _refuse(f"{name}: {CONFIG_FILE} cannot be read")
    _print_table(first, second)
    return output_exit_code()


def _refuse(problem: str) -> int:
    print_problems("rnnlab.compare", [problem])
    return 2


def _print_table(first: RunEntry, second: RunEntry) -> None:
    differences = compare_runs(first, second)
    if differences.empty:
        print("No differences in configuration, outcome, summary, code or machine.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("", first.row["name"], second.row["name"], "difference"):
        table.add_column(Text(heading), overflow="fold", justify="left" if not heading else "right")
    for section, rows in differences.groupby("section", sort=False):
        table.add_row(Text(str(section), "bold"))
        for row in rows.itertuples():
            cells = (
                f"  {row.key}",
                _format_value(row.first),
                _format_value(row.second),
                _difference(row.first, row.second),
            )
            table.add_row(*map(Text, cells))  # not parsed as markup
    console = Terminal()
    console.print(table)
    units = {loss_unit_from_info(run.info)[0] for run in (first, second)}
    if meanings := explain(differences["key"], units.pop() if len(units) == 1 else ""):
        console.print(Text(f"\n{meanings}", "dim"), soft_wrap=not console.is_terminal)


def _format_value(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        return f"{len(value)} entries"  # such as the steps before a run diverged
    return "–" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _difference(first: Any, second: Any) -> str:
    """Return `second` minus `first` as text if both are numbers, otherwise an empty string."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (first, second))
    return f"{second - first:+.3g}" if numbers else ""
