"""Report of a sweep as a self-contained HTML page with figures, tables, problems and commands."""

import base64
import shlex
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex

from rnnlab import __version__
from rnnlab.analysis.figures.selection import select_layer
from rnnlab.analysis.figures.style import choose_colors
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.frames.runs_frame import DAMAGED, RunEntry
from rnnlab.analysis.frames.sources import MLflowRuns, Source, places_of
from rnnlab.analysis.report.answer import answer_question, best_condition
from rnnlab.analysis.report.conditions import choose_metric, find_conditions, summarize_ends
from rnnlab.analysis.report.encodings import choose_encodings, is_number
from rnnlab.analysis.report.figures import ReportFigures
from rnnlab.analysis.report.tables import conditions_table, differences_table, failures_table, runs_table
from rnnlab.mlflow_mirror.store import tracking_uri
from rnnlab.records import ENDED, ZERO_FRACTION
from rnnlab.runs.files import replace_text
from rnnlab.runs.run_json import flatten
from rnnlab.text import NO_VALUE, ZERO_NOTE, describe_machine, explain, redact, sanitize

UNSTABLE_NOTE = "the smoothed training loss exceeded twice the chance level"


def write_report(source: Source, page: Path) -> list[RunEntry]:
    """Write the report of a sweep atomically, and return the runs of the sweep.

    Raises:
        ValueError: If no runs are found.
        ConnectionError: If MLflow does not respond.
        OSError: If the page cannot be written.
    """
    collection = RunCollection.find(source)
    replace_text(page, _html(collection, source))
    return collection.runs


def report_html(source: Source) -> str:
    """Return the report of a sweep as HTML.

    Raises:
        ValueError: If no runs are found.
        ConnectionError: If MLflow does not respond.
    """
    return _html(RunCollection.find(source), source)


def _html(collection: RunCollection, source: Source) -> str:
    entries = collection.runs
    curves = _lag_curves(collection)
    runs = summarize_ends(collection, curves)
    undamaged = runs[runs["outcome"] != DAMAGED]
    encodings = choose_encodings(undamaged, collection.varying)
    seeds = ["seed"] if "seed" in collection.varying else []
    metric = choose_metric(runs)
    conditions = find_conditions(runs, encodings.axes)
    answer = answer_question(undamaged, conditions, encodings.axes, encodings.hue, metric)
    best = best_condition(conditions, metric)
    figures = ReportFigures(collection, curves, encodings, metric)
    first_sentence = Markup(answer.sentences[0]).striptags() if answer.sentences else answer.question
    configs = [dict(flatten(run.config)) for run in entries]
    environment = Environment(
        loader=PackageLoader("rnnlab.analysis.report"),
        autoescape=True,
        finalize=_as_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = Markup(environment.get_template("report.js").render())
    return environment.get_template("report.html").render(
        style=Markup(environment.get_template("report.css").render()),
        script=script,
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode(),
        title=_title(runs),
        answer=answer,
        main_figure=figures.main(str(first_sentence), best),
        hue=encodings.hue,
        is_sequential=encodings.hue is not None and is_number(runs[encodings.hue]),
        colors=_color_labels(runs, encodings.hue),
        facts=_facts(runs, entries),
        outcomes=_outcomes(runs),
        figures=figures.details(best),
        conditions=conditions_table(conditions, encodings.axes, metric),
        runs=runs_table(entries, encodings.axes + seeds),
        failures=failures_table(entries, collection.problems),
        differing=differences_table(configs),
        common=_common(configs),
        commands=_commands(entries, source),
        metric_note=explain([metric]),
        unstable_note=UNSTABLE_NOTE if (runs["outcome"] == "unstable").any() else "",
        zero_note=ZERO_NOTE if _any_zeros(runs) else "",
        version=__version__,
    )


def _lag_curves(collection: RunCollection) -> pd.DataFrame | None:
    """Return the first and last lag curves of the state, or None if no probe recorded one.

    A recording whose gradients are not finite, such as the last one of a diverged run, has no curve.
    """
    try:
        curves = select_layer(collection.gradients("state", "lag", "ends"), "state")
    except ValueError:
        return None
    has_value = curves["log10_gmean"].notna() | (curves["zero_fraction"] > 0)
    curves = curves[has_value.groupby([curves["run"].astype(str), curves["step"]]).transform("any")]
    return curves if curves["log10_gmean"].notna().any() else None


def _color_labels(runs: pd.DataFrame, hue: str | None) -> dict[str, str]:
    """Return the colour of each value of the colour axis as `#rrggbb`, by label."""
    if hue is None:
        return {}
    return {label: to_hex(color) for label, color in choose_colors(runs[hue]).items()}


def _any_zeros(runs: pd.DataFrame) -> bool:
    return ZERO_FRACTION in runs and bool((runs[ZERO_FRACTION] > 0).any())


def _as_text(value: object) -> str:
    """Return a template value as a string without control characters."""
    return Markup(sanitize(value)) if isinstance(value, Markup) else sanitize(str(value))


def _title(runs: pd.DataFrame) -> str:
    sweeps = list(map(str, runs["sweep"].dropna().unique()))
    return f"{len(sweeps)} sweeps, {sweeps[0]} …" if len(sweeps) > 2 else " + ".join(sweeps) or "runs"


def _facts(runs: pd.DataFrame, entries: Sequence[RunEntry]) -> dict[str, str]:
    began, seconds = runs["started"].min(), float(runs["seconds"].sum()) if "seconds" in runs else 0.0
    facts = {
        "started": "" if pd.isna(began) else f"{began:%Y-%m-%d %H:%M} UTC",
        "training time": _duration(seconds),
        "task": ", ".join(map(str, runs["task"].dropna().unique())) if "task" in runs else NO_VALUE,
        "code": ", ".join(_code(entries)),
        "machine": ", ".join(_machines(entries)),
    }
    return {key: value for key, value in facts.items() if value}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def _code(entries: Sequence[RunEntry]) -> list[str]:
    tags = [run.info.get("tags") or {} for run in entries]
    versions = (
        f"rnnlab {t['rnnlab_version']} {t.get('git_commit', '')[:12]}" for t in tags if "rnnlab_version" in t
    )
    return list(dict.fromkeys(version.strip() for version in versions))


def _machines(entries: Sequence[RunEntry]) -> list[str]:
    machines = (describe_machine(run.info.get("machine") or {}) for run in entries)
    return list(dict.fromkeys(machine for machine in machines if machine))


def _outcomes(runs: pd.DataFrame) -> list[tuple[str, int]]:
    return Counter(runs["outcome"].astype(str)).most_common()


def _common(configs: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    first = configs[0]
    return [
        (key, "null" if value is None else str(value))
        for key, value in first.items()
        if all(key in config and config[key] == value for config in configs)
    ]


def _commands(entries: Sequence[RunEntry], source: Source) -> dict[str, str]:
    """Return the commands that repeat the sweep or load its data, keyed by description."""
    tags = [run.info.get("tags") or {} for run in entries]
    commits = list(dict.fromkeys(t["git_commit"] for t in tags if "git_commit" in t))
    sweeps = list(dict.fromkeys(command for run in entries if (command := run.info.get("command"))))
    commands = {}
    if commits:
        commands["Check out the code"] = "\n".join(_checkout_command(commit) for commit in commits)
    if sweeps:
        commands["Repeat the sweep"] = "\n".join(sweeps)
    if folders := [run.row["folder"] for run in entries if run.row["outcome"] in ENDED]:
        repeat = f"python -m rnnlab.repeat {shlex.quote(folders[0])}"
        commands["Repeat one run and check that the results are bit-identical"] = repeat
    commands["Load the gradients in a notebook"] = (
        "import rnnlab as rl\n\n"
        f"gradients = rl.load_gradients({_source_as_python(source)})\n"
        "rl.draw_lag_curves(gradients)"
    )
    return commands


def _source_as_python(source: Source) -> str:
    """Return a Python expression that recreates a source."""
    if isinstance(source, MLflowRuns):
        uri = redact(tracking_uri(source.uri))
        return f"rl.MLflowRuns({source.experiment!r}, {source.sweep!r}, {uri!r})"
    if isinstance(source, str | Path):
        return repr(str(Path(source).absolute()))
    return repr([str(Path(place).absolute()) for place in places_of(source)])


def _checkout_command(commit: str) -> str:
    note = "  # then run: git apply RUN_FOLDER/code.diff" if commit.endswith("-dirty") else ""
    return f"git checkout {commit.removesuffix('-dirty')}{note}"
