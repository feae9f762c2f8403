"""The view of a sweep on MLflow's chart page: groups, colours, first charts, and columns of the list of runs.

By default, MLflow shows the first 10 runs, sorts chart sections by name, so clip rates come first, and may
give two runs the same colour. A *view* shows all runs and puts the charts about vanishing gradients first;
all other sections remain in MLflow's order. If a sweep repeats each configuration with at least
`MIN_REPLICATES` seeds, each configuration is one group, drawn as the mean over seeds with a band from the
minimum to the maximum. Runs that differ in any other axis are never averaged.

An experiment tag stores the view as JSON, in the format that MLflow's Share button uses. MLflow ignores a
`searchFilter` in a link to a shared view. The filter is therefore part of the view, and each sweep has its
own view. The format is undocumented; `tests/mlflow_mirror/test_bundle.py` checks that MLflow's front end
still contains every key used here.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.records import GRAD_NORM, HORIZON, LOG10_GAIN, VAL_LOSS

SHARED_VIEW = "mlflow.sharedViewState."
MAX_TAG = 5000
"""Maximum length of an experiment tag on any MLflow server."""
SECTION = "how far gradients reach"
FIRST_CHARTS = (
    ("log10_h_lag/last", "log10_h_lag/first"),
    ("log10_h_time/last", "log10_h_time/first"),
    (HORIZON,),
    (LOG10_GAIN,),
    (VAL_LOSS,),
    (GRAD_NORM,),
)
"""Metrics of each chart of the first section; the second metric of a chart is drawn as dashed lines."""
BARS = (HORIZON,)
"""Metrics drawn as bars with their last values."""
LAYOUTS = {8: {"columns": 2, "cardHeight": 290}, 14: {"columns": 3, "cardHeight": 420}}
LARGEST_LAYOUT = {"columns": 3, "cardHeight": 560}
"""Layout of the first section by the maximum number of bars, each of which has the value as its label.

Two rows of low charts or one row of tall charts fit on the first screen.
"""
PARAM_COLUMNS = ("cell", "task", "seq_len")
"""Parameters always shown in the table of runs, in addition to the swept axes."""
METRIC_COLUMNS = (HORIZON, LOG10_GAIN, VAL_LOSS)
REPLICATES = ("seed",)
"""Axes whose values repeat a configuration."""
MIN_REPLICATES = 3
PAGE = 100
"""Number of runs that MLflow loads at once."""
# Seaborn's "colorblind" palette.
RUN_COLORS = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#949494",
    "#ece133",
    "#56b4e9",
)
CELL_COLORS = dict(zip(("rnn", "lstm", "gru"), RUN_COLORS, strict=False))
"""Colour of each built-in cell, the same as in rnnlab's figures."""
MAX_SHADE = 0.45
"""Share of black in the darkest shade and of white in the lightest shade of a colour."""

Params = Mapping[str, str]
"""Parameters of a run in MLflow."""


def swept_axes(runs: Sequence[Params]) -> list[str]:
    """Return the parameters whose values differ between runs, starting with `cell`."""
    keys = dict.fromkeys(key for run in runs for key in run)
    varying = [key for key in keys if len({run.get(key) for run in runs}) > 1]
    return sorted(varying, key=lambda key: key != "cell")


def group_axes(runs: Sequence[Params]) -> list[str]:
    """Return the parameters by which runs are grouped: all swept axes except seeds; empty without groups."""
    axes = _condition_axes(runs)
    sizes = Counter(tuple(run.get(axis) for axis in axes) for run in runs)
    return axes if max(sizes.values(), default=0) >= MIN_REPLICATES else []


def run_colors(runs: Sequence[Params]) -> list[str]:
    """Return one colour per run: a shade of the colour of its cell.

    If only one cell is used, the values of the first axis have the colours. Runs that differ only in their
    seed have the same shade; all other runs with the same colour have different shades.
    """
    axis, *others = _condition_axes(runs)
    values = list(dict.fromkeys(run.get(axis) for run in runs))
    fixed = CELL_COLORS if axis == "cell" else {}
    free = RUN_COLORS[len(fixed) :]
    unknown = [value for value in values if value not in fixed]
    colors = fixed | {value: free[index % len(free)] for index, value in enumerate(unknown)}
    conditions = [(run.get(axis), *(run.get(other) for other in others)) for run in runs]
    shades: dict[tuple[str | None, ...], str] = {}
    for value in values:
        alike = [condition for condition in dict.fromkeys(conditions) if condition[0] == value]
        shades |= dict(zip(alike, _shades(colors[value], len(alike)), strict=True))
    return [shades[condition] for condition in conditions]


def group_colors(runs: Sequence[Params]) -> dict[str, str]:
    """Return the colour of each group of runs, with MLflow's id of the group as the key."""
    axes = group_axes(runs)
    if not axes:
        return {}
    return {_group_id(run, axes): color for run, color in zip(runs, run_colors(runs), strict=True)}


def view_state(sweep: str, runs: Sequence[Params]) -> dict[str, Any]:
    """Return the view of a sweep.

    Args:
        sweep: Name of the sweep.
        runs: Parameters of each run of the sweep.
    """
    axes, groups, colors = swept_axes(runs), group_axes(runs), group_colors(runs)
    bars = len(colors or runs)
    layout = next((layout for most, layout in LAYOUTS.items() if bars <= most), LARGEST_LAYOUT)
    keys = [{"mode": "param", "groupByData": axis} for axis in groups]
    section = {"uuid": SECTION, "name": SECTION, "display": True, "isReordered": False}
    columns = [f"params.`{axis}`" for axis in dict.fromkeys((*PARAM_COLUMNS, *axes))]
    columns += [f"metrics.`{name}`" for name in METRIC_COLUMNS] + ["tags.`outcome`"]
    if groups:  # last: in the row of a group, MLflow shows the mean of the seeds
        columns.sort(key=[f"params.`{axis}`" for axis in REPLICATES].__contains__)
    # MLflow loads the runs page by page: the first page must not contain the runs of one cell only.
    order = f"params.`{axes[-1]}`" if axes and len(runs) > PAGE else "attributes.start_time"
    return {
        "searchFilter": f"tags.sweep = '{sweep}'",
        "orderByKey": order,
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "runsHiddenMode": "SHOW_ALL",
        "selectedColumns": columns,
        "columnOrder": columns,
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys} if keys else None,
        "groupsExpanded": dict.fromkeys(colors, False),
        "compareRunCharts": [_chart(metrics) for metrics in FIRST_CHARTS],
        "compareRunSections": [section | layout],
        "isAccordionReordered": True,
    }


def shared_view(sweep: str, runs: Sequence[Params]) -> tuple[str, str]:
    """Return the key and value of the experiment tag to which a link to a shared view refers."""
    state = view_state(sweep, runs)
    value = json.dumps(state)
    if len(value) > MAX_TAG:
        value = json.dumps(state | {"groupsExpanded": {}})
    return SHARED_VIEW + sweep, value


def _condition_axes(runs: Sequence[Params]) -> list[str]:
    """Return all swept axes except seeds, or the cell if no other axis is swept."""
    return [axis for axis in swept_axes(runs) if axis not in REPLICATES] or ["cell"]


def _shades(color: str, count: int) -> list[str]:
    """Return shades of a colour, from dark to light; a single shade is the colour itself."""
    found = []
    for number in range(count):
        amount = MAX_SHADE * (2 * number / (count - 1) - 1) if count > 1 else 0.0
        towards = 0 if amount < 0 else 255
        channels = (int(color[at : at + 2], 16) for at in (1, 3, 5))
        mixed = (round(channel + abs(amount) * (towards - channel)) for channel in channels)
        found.append("#" + "".join(f"{channel:02x}" for channel in mixed))
    return found


def _group_id(run: Params, axes: Sequence[str]) -> str:
    return ",".join(f"param.{axis}.{run.get(axis) or 'null'}" for axis in axes)


def _chart(metrics: Sequence[str]) -> dict[str, Any]:
    first, *others = metrics
    chart = {
        "uuid": first,
        "type": "BAR" if first in BARS else "LINE",
        "metricKey": first,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
    }
    if first in BARS:
        return chart
    if others:
        chart["displayPoints"] = False  # points would hide the dashes
    return chart | {
        "selectedMetricKeys": list(metrics),
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "selectedXAxisMetricKey": "",
        "range": {},
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
