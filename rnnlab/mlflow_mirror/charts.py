"""The page with the charts of a sweep in MLflow: a link to the page, and the first section of the page.

By default, MLflow sorts chart sections by name, so clip rates come first, and MLflow may give two runs
the same colour. A *shared view* puts the charts about vanishing gradients first and leaves all other sections
in MLflow's order. An experiment tag stores the shared view as JSON, in the format that MLflow's Share button
uses, and the link refers to this tag. MLflow ignores a `searchFilter` in a link to a shared view. The filter
is therefore part of the view, and each sweep has its own view.
"""

import json
from typing import Any
from urllib.parse import quote

from rnnlab.metric_table import METRICS, Metric

SHARED_VIEW = "mlflow.sharedViewState."
SECTION = "how far gradients reach"
FIRST_CHARTS = (
    "log10_h_lag/first",
    "log10_h_lag/last",
    "grad/log10_gain",
    "grad/horizon",
    "val/loss",
    "grad/norm",
)
_ROWS = "\n".join(
    f"| `{row.name}` | {'' if row.x == Metric.x else row.x} | {row.in_markdown} |"
    for row in METRICS
    if row.mlflow
)
DESCRIPTION = f"""
**Figures**: artifacts → `figures/lag_curves.png` (reach of the gradient, with theory), `time_heatmap`, \
`contributions`, `gates`, `clipping`. A slider steps through the images *lag curve over training*.

| metric | x axis, if not the training step | meaning |
| --- | --- | --- |
{_ROWS}

Norms are geometric means over the examples with a non-zero gradient. `c` is the cell state of an LSTM, \
`state` its full state and `x` the input. The artifact `gradients.parquet` contains all recordings; \
docs/measurements.md defines every quantity.
"""
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


def charts_link(base: str, experiment_id: str, sweep: str) -> str:
    """Return the link to the charts of a sweep; a link to the experiment alone opens another page."""
    return (
        f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={quote(sweep)}"
    )


def shared_view(sweep: str) -> tuple[str, str]:
    """Return the key and value of the experiment tag to which `charts_link` refers."""
    state = {
        "searchFilter": f"tags.sweep = '{sweep}'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": [_line_chart(metric) for metric in FIRST_CHARTS],
        "compareRunSections": [{"uuid": SECTION, "name": SECTION, "display": True, "isReordered": False}],
        "isAccordionReordered": True,
    }
    return SHARED_VIEW + sweep, json.dumps(state)


def _line_chart(metric: str) -> dict[str, Any]:
    return {
        "uuid": metric,
        "type": "LINE",
        "metricKey": metric,
        "metricSectionId": SECTION,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 20,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
