"""How a sweep looks in MLflow: the link to its charts, and what stands first on that page.

Left alone, MLflow sorts chart sections by name, so the page would open with clip rates, and gives
runs colours that may be the same. A *shared view*, a JSON state in a tag of the experiment that the
link names (what MLflow's own Share button makes), puts the fading gradient first; everything else
follows in MLflow's own order. MLflow ignores a `searchFilter` in a link that names a shared view, so
the view holds the filter and there is one view a sweep.
"""

import json
from typing import Any
from urllib.parse import quote

from rnnlab.metrics import METRICS

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
_ROWS = "\n".join(f"| `{row.name}` | {row.x} | {row.in_markdown} |" for row in METRICS if row.mlflow)
DESCRIPTION = f"""
**Where to look**: artifacts → `figures/lag_curves.png` (how far the gradient reaches, with theory), \
`time_heatmap`, `contributions`, `gates`, `clipping`; the images *lag curve over training* have a slider.

| metric | x | meaning |
| --- | --- | --- |
{_ROWS}

Norms are geometric means over examples whose gradient is not 0; `c` and `state` are an LSTM's cell and \
whole state, `x` the input. All recordings are in the artifact `gradients.parquet`; docs/measurements.md \
defines every quantity.
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
    """The address of the charts of one sweep; opening the experiment itself lands elsewhere."""
    return (
        f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs"
        f"?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={quote(sweep)}"
    )


def shared_view(sweep: str) -> tuple[str, str]:
    """The experiment tag, key and value, that `charts_link` refers to."""
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
