"""MLflow's front end still contains every undocumented name that rnnlab relies on.

If a test fails after an upgrade of MLflow, the front end ignores the name: look up the new name in the bundle,
and change `rnnlab/mlflow_mirror/charts.py`, `links.py` or `start_page.py`.
"""

import json
import re
from functools import cache
from pathlib import Path

import mlflow
import pytest

from rnnlab.mlflow_mirror import start_page
from rnnlab.mlflow_mirror.charts import SHARED_VIEW, view_state
from rnnlab.mlflow_mirror.links import charts_route
from tests.mlflow_mirror.test_charts import SIXTY, TWO

STATE = view_state("a", SIXTY)
SCRIPTS = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
CHART_KEYS = {key for chart in STATE["compareRunCharts"] for key in chart}
SECTION_KEYS = {key for section in STATE["compareRunSections"] for key in section}
VALUES = ("SHOW_ALL", "LINE", "BAR", "average", "param", "Active", "All Runs", "step")
LITERALS = ("experimentRunColors", "viewStateShareKey", SHARED_VIEW, "mlflow.runColor", "machine_learning")


@cache
def bundle() -> str:
    """Return all scripts of MLflow's front end."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(SCRIPTS.glob("*.js")))


def has(text: str) -> bool:
    """Return True if the bundle contains a text; an assertion must not print the bundle."""
    return text in bundle()


def matches(pattern: str) -> list[str]:
    return [found[0] for found in re.finditer(pattern, bundle())]


def literal(text: str) -> bool:
    return has(f'"{text}"')


def test_a_missing_name_is_detected() -> None:
    assert not literal("runsHiddenModeOfRnnlab") and not matches(r"\bcardHeightOfRnnlab\b")


def test_mlflow_restores_every_key_of_the_view() -> None:
    """MLflow restores the keys of two lists; it ignores all others."""
    interface = [json.loads(found) for found in matches(r'\["selectedColumns"(?:,"\w+")+\]')]
    facets = [json.loads(found) for found in matches(r'\["searchFilter"(?:,"\w+")+\]')]
    left = (STATE.keys() | {"runsVisibilityMap"}) - set(max(interface, key=len)) - set(max(facets, key=len))
    assert left == set()


@pytest.mark.parametrize("key", sorted(CHART_KEYS | SECTION_KEYS | {"groupByKeys", "groupByData"}))
def test_mlflow_uses_every_key_of_charts_sections_and_groups(key: str) -> None:
    assert matches(rf"\.{key}\b|[{{,]{key}:")


@pytest.mark.parametrize("value", [*VALUES, *LITERALS])
def test_mlflow_has_every_value(value: str) -> None:
    assert literal(value)


@pytest.mark.parametrize("key", start_page.SETTINGS)
def test_mlflow_uses_every_setting(key: str) -> None:
    name, _, version = key.rpartition("_v")
    assert has(f'key:"{name}",version:{version},')
    assert has("=(e,t)=>`${e}_v${t}`")  # how MLflow joins the name and the version


def test_mlflow_stores_the_view_of_an_experiment_under_this_key() -> None:
    scope, version, store, experiments, name = start_page.browser_view("7", "a", TWO)["key"].split("-")
    assert literal(scope) and has(f'version="{version}"')
    assert has(f'getStoreForComponent("{store}",') and has(f'reactComponentStateKey="{name}"')
    assert experiments == '["7"]'  # JSON.stringify of the ids


def test_the_ids_of_groups_are_generated_like_those_of_mlflow() -> None:
    made = r"\(\{groupByData:(\w),mode:(\w),value:(\w)\}\)=>`\$\{\2\}\.\$\{\1\}\.\$\{\3\|\|null\}`"
    assert matches(made)


def test_the_names_of_columns_are_generated_like_those_of_mlflow() -> None:
    assert matches(r"\((\w),(\w)\)=>\1\+\"\.`\"\+\2\+\"`\"")
    assert {column.partition(".")[0] for column in STATE["selectedColumns"]} == {"params", "metrics", "tags"}
    assert has('PARAMS:"params",METRICS:"metrics",TAGS:"tags"')


def test_routes_and_parameters_exist() -> None:
    route = charts_route("7", "a")
    assert route.startswith("#/experiments/7/runs?") and literal("/experiments/:experimentId/runs/:runUuid/*")
    for name in re.findall(r"[?&](\w+)=", route):
        assert literal(name), name
