"""Tests that the tables of docs/configuration.md describe every key that Hydra composes."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import yaml
from annotated_types import Ge

from docs import keys
from rnnlab.app.config import settings as schema
from tests.surroundings import ROOT

PLACEHOLDERS = re.findall(
    r"<!-- keys: (\w+) -->", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
)
ROW = re.compile(r"^\| `([\w.<>]+)` \| (.+) \| (.+) \| (.*) \|$", re.MULTILINE)
GROUPS = ("cell", "task", "optimizer", "init", "initial_state", "probe", "tracking")


def rows(*names: str) -> list[tuple[str, str, str, str]]:
    return [found for name in names for found in ROW.findall(keys.page(name))]


def leaves(config: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{key}.")
        elif key != "_target_":
            yield f"{path}{key}", value


def defaults_of(default: str, option: str) -> list[str]:
    """Return the defaults in a table cell that apply to an option."""
    cells = [re.fullmatch(r"(.+?)(?: \((.+)\))?", part) for part in default.split("<br>")]
    assert all(cells)
    return [cell[1] for cell in cells if cell and (cell[2] is None or option in cell[2].split(", "))]


def test_the_page_asks_for_every_group() -> None:
    folders = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"hydra"}
    assert folders | {"run", "kinds", "schedule", "launcher"} == set(PLACEHOLDERS)


@pytest.mark.parametrize("group", ["run", *GROUPS])
def test_every_composed_key_is_listed_with_its_default(group: str) -> None:
    listed = rows(group)
    options = keys.options(group) if group in GROUPS else [""]
    for option in options:
        config = keys.compose_run(f"{group}={option}") if option else keys.compose_run()
        config = {group: config[group]} if option else {k: v for k, v in config.items() if k not in GROUPS}
        for path, value in leaves(config):
            if path.startswith("probe.measurements"):
                continue
            defaults = [defaults_of(default, option) for key, default, *_ in listed if key == path]
            assert [keys.format_value(value)] in defaults or (value is None and ["required"] in defaults), (
                path
            )


def test_every_measurement_has_its_keys_and_its_schedule() -> None:
    listed, schedules = rows("measurement"), keys.page("schedule")
    for name in keys.options("measurement"):
        config = dict(keys.compose_run("probe=none", f"+measurement={name}")["probe"]["measurements"][name])
        when = config.pop("when")
        for key, value in leaves(config):
            assert (f"probe.measurements.{name}.{key}", keys.format_value(value)) in [
                row[:2] for row in listed
            ]
        assert f"| `{name}` | {' | '.join(map(keys.format_value, when.values()))} |" in schedules
    assert "| `lag_curves` in `probe=light` | `1` | `4` |" in schedules


def test_every_launcher_has_its_keys() -> None:
    listed = [row[:2] for row in rows("launcher")]
    for name in keys.options(keys.LAUNCHER):
        config = yaml.safe_load((ROOT / "conf" / "hydra" / "launcher" / f"{name}.yaml").read_text("utf-8"))
        for key, value in config.items():
            assert key == "_target_" or (f"hydra.launcher.{key}", keys.format_value(value)) in listed


def test_every_key_has_a_description_and_allowed_values() -> None:
    for name in PLACEHOLDERS:
        for key, default, allowed, meaning in rows(name):
            assert default and allowed and re.search(r"\w\w", meaning), key


def test_every_experiment_is_described() -> None:
    table = keys.page("experiment")
    for name in keys.options("experiment"):
        assert re.search(rf"^\| `{name}` \| \S.{{20,}} \|$", table, re.MULTILINE)


def test_types_and_bounds_are_described_in_words() -> None:
    by_key = {
        key: (default, allowed) for key, default, allowed, _ in rows("run", "task", "cell", "initial_state")
    }
    assert by_key["clip"] == ("`1.0`", "number > 0; or null")
    assert by_key["seed"][1] == "integer ≥ 0 and < 2⁶³"
    assert by_key["cell.nonlinearity"][1] == "`tanh`, `relu` or `identity`"
    assert by_key["task.separator"][1] == "string, one character"
    assert by_key["objective"][1] == "string, not empty"
    assert by_key["task.columns"][1] == "list of: string, at least 1; or null"
    assert by_key["initial_state.path"] == ("required", "string, not empty")
    assert by_key["task.special"][0] == "`2` (temporal_order)<br>`3` (temporal_order_3)"


def test_a_key_that_the_schema_gains_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    added = [("warm_up", Annotated[int, Ge(3)])]
    more = dataclasses.make_dataclass("Settings", added, bases=(schema.Settings,), frozen=True)
    monkeypatch.setattr(schema, "Settings", more)
    assert ("warm_up", "required", "integer ≥ 3", "") in rows("run")
