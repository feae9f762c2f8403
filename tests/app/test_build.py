"""Only YAML contains defaults, and YAML and schema have the same keys."""

import copy
import dataclasses
import inspect
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from hydra.utils import get_class, get_method

from rnnlab.app.check import check
from rnnlab.app.config.build import build
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.settings import Settings
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.cells import Stack
from rnnlab.diagnostics import Measurement, Probe, Schedule
from rnnlab.paths import conf_dir

Keys = tuple[str, ...]
TARGETS = {
    f"{file.parent.name}/{file.stem}": target
    for file in sorted(conf_dir().glob("*/*.yaml"))
    if (target := yaml.safe_load(file.read_text(encoding="utf-8")).get("_target_"))
}
FUNCTIONS = {option: target for option, target in TARGETS.items() if option.startswith("measurement/")}
CLASSES = {option: target for option, target in TARGETS.items() if option not in FUNCTIONS}
GIVEN = {
    "cell": ["input_size", "hidden_size"],
    "task": ["seq_len", "batch_size"],
    "optimizer": ["lr"],
    "initial_state": [],
}
"""Arguments of each group's class that come from keys outside the group."""


@cache
def default_config() -> dict[str, Any]:
    return compose_plan(conf_dir(), [], multirun=False).jobs[0].config


def leaves(node: dict[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in node.items():
        if key != "_target_":
            yield from leaves(value, (*above, key)) if isinstance(value, dict) else [(*above, key)]


def schemas(cls: Any) -> Iterator[Any]:
    """Yield a dataclass and the dataclasses of its fields."""
    yield cls
    for hint in typing.get_type_hints(cls).values():
        for part in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(part) and part is not Measurement:  # a measurement names a function
                yield from schemas(part)


def test_conf_names_classes() -> None:
    assert {
        "cell/rnn",
        "cell/lstm",
        "cell/gru",
        "initial_state/zero",
        "task/char_lm",
        "optimizer/adam",
    } <= set(TARGETS)
    assert all(target.startswith("rnnlab.") for target in TARGETS.values())


@pytest.mark.parametrize(
    "cls", [Settings, Probe, *map(get_class, CLASSES.values())], ids=lambda cls: cls.__name__
)
def test_no_default_is_defined_in_python(cls: type) -> None:
    for schema in schemas(cls):
        given = [p.name for p in inspect.signature(schema).parameters.values() if p.default is not p.empty]
        assert not given, f"{schema.__name__} has defaults for {given}"


def test_the_search_for_defaults_includes_groups() -> None:
    assert {schema.__name__ for schema in schemas(Settings)} >= {"Init", "Initializer", "Tracking"}


@pytest.mark.parametrize("option", FUNCTIONS)
def test_a_measurement_has_the_options_of_its_function(option: str) -> None:
    written = yaml.safe_load((conf_dir() / f"{option}.yaml").read_text(encoding="utf-8"))
    parameters = inspect.signature(get_method(FUNCTIONS[option])).parameters
    assert next(iter(parameters)) == "snapshot"
    assert sorted(written) == sorted([*list(parameters)[1:], "_target_", "when"])
    assert all(parameter.default is parameter.empty for parameter in parameters.values())
    assert sorted(written["when"]) == sorted(field.name for field in dataclasses.fields(Schedule))


@pytest.mark.parametrize("option", CLASSES)
def test_an_option_has_the_keys_of_its_class(option: str) -> None:
    group = option.split("/")[0]
    written = yaml.safe_load((conf_dir() / f"{option}.yaml").read_text(encoding="utf-8"))
    fields = [field.name for field in dataclasses.fields(get_class(TARGETS[option]))]
    assert sorted([*written, *GIVEN[group]]) == sorted([*fields, "_target_"])


def test_the_configuration_has_the_keys_of_the_schema() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert sorted(default_config()) == sorted([*fields, *GIVEN, "probe"])
    probe = [field.name for field in dataclasses.fields(Probe)]
    assert sorted(default_config()["probe"]) == sorted(probe)


@pytest.mark.parametrize("keys", list(leaves(default_config())), ids=".".join)
def test_a_key_missing_from_the_yaml_is_detected(keys: Keys) -> None:
    config = copy.deepcopy(default_config())
    parent = config
    for key in keys[:-1]:
        parent = parent[key]
    del parent[keys[-1]]
    with pytest.raises(InvalidConfig) as caught:
        build(config)
    assert caught.value.problems == [f"{'.'.join(keys)}: missing"]


@pytest.mark.parametrize(
    "above",
    [
        "",
        "cell",
        "task",
        "optimizer",
        "init",
        "init.W_hh",
        "probe",
        "probe.measurements.norms",
        "probe.measurements.norms.when",
        "tracking",
    ],
)
def test_an_additional_key_in_the_yaml_is_detected(above: str) -> None:
    config = copy.deepcopy(default_config())
    parent = config
    for key in filter(None, above.split(".")):
        parent = parent[key]
    parent["colour"] = 1
    with pytest.raises(InvalidConfig) as caught:
        build(config)
    assert caught.value.problems == [f"{above}.colour=1: unknown key".lstrip(".")]


def test_a_grid_over_layers_and_residual_contains_one_layer_twice_and_reports_it() -> None:
    plan = compose_plan(conf_dir(), ["layers=1,2", "residual=false,true", "engine=numpy"], multirun=True)
    checked = check(plan)
    assert checked.remarks == ("residual=true: no effect with layers=1",)
    assert len({order.info["identity"] for order in checked.orders}) == 4, "resume=true must not mix them up"
    one, other, *two = (build(job.config).trainer.model.cell for job in plan.jobs)
    assert one == other and [type(cell) for cell in two] == [Stack, Stack]
    assert check(compose_plan(conf_dir(), ["layers=2", "residual=true"], multirun=False)).remarks == ()
