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
DESCRIPTION = """
**Where to look**: artifacts → `figures/lag_curves.png` (how far the gradient reaches, with theory), \
`time_heatmap`, `contributions`, `gates`, `clipping`; the images *lag curve over training* have a slider.

| metric | x | what |
| --- | --- | --- |
| `log10_h_lag/…` | lag k | gradient at h of the loss k steps later: first and last recording |
| `log10_h_by_lag/0008` | training step | the same at lag 8, relative to lag 1 (`0001`: the level) |
| `log10_h_time/…` | time step t | total gradient of the training loss at h[t] |
| `grad/gain` | training step | factor of the gradient in one step back; 0 where none is left |
| `grad/log10_gain` | training step | slope of the lag curve, decades a lag; under 0 it vanishes |
| `…_short`, `…_tail` | training step | the same over lags 1 … 10, and over the second half |
| `grad/horizon` | training step | last lag with at least 1/100 of the gradient at lag 1, even after a dip |
| `grad/horizon_first` | training step | lags before the gradient first drops below that |
| `grad/zero_fraction` | training step | share of examples whose gradient is exactly 0 at the longest lag; \
gain, horizon and regime are of the others (`grad/zero_at_horizon`: at the horizon) |
| `grad/norm` | training step | global norm of the gradient before clipping; `_p50` … of the whole run |
| `grad/clip_rate` | training step | share of the steps so far whose gradient was clipped |
| `grad/clip_cosine` | training step | between the gradient before and after clipping; 1: same direction |
| `val/…` | training step | the task's own metrics; `val/baseline`: one of them without memory |
| `val/solved`, `steps_to_solve` | training step | is the task's criterion met, and since when |
| `theory/log10_cell_path` | 0 | of an LSTM: what its forget gates alone leave of a gradient at c, a step |
| `theory/log10_gain` | 0 | what theory expects of the untrained network; `theory/gap`: measured minus that |
| `update_ratio/W_hh` | training step | length of the update over that of the weights |
| `weights/…`, `lyapunov/top` | training step | of W_hh; the rate at which states part, per time step; \
`_se`: its standard error |

Norms are geometric means over examples; `c` and `state` are an LSTM's cell and whole state, `x` the input. \
All recordings are in the artifact `gradients.parquet`; docs/measurements.md defines every quantity.
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
