"""Python values as overrides: Hydra reads back what was written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.override_text import axis_text, override_text

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1),
)


def read(line: str) -> Any:
    return OverridesParser.create().parse_override(line)


@given(value=SCALARS | st.lists(SCALARS, max_size=3))
def test_a_value_is_read_back(value: Any) -> None:
    override = read(override_text("key", value))
    assert not override.is_sweep_override()
    assert as_plain(override.value()) == as_plain(value)


@given(values=st.lists(SCALARS, min_size=2, max_size=4))
def test_the_values_of_an_axis_are_read_back(values: list[Any]) -> None:
    override = read(axis_text("key", values))
    assert override.is_sweep_override()
    assert [as_plain(value) for value in override.sweep_iterator()] == [as_plain(value) for value in values]


def as_plain(value: Any) -> Any:
    """Return strings without the escape of `${`, which OmegaConf removes when it resolves the configuration."""
    if isinstance(value, list):
        return [as_plain(item) for item in value]
    text = getattr(value, "text", value)
    if not isinstance(text, str):
        return text
    return re.sub(r"(\\*)\\\$\{", lambda found: "\\" * (len(found[1]) // 2) + "${", text)


def test_a_dollar_sign_is_not_an_interpolation() -> None:
    from rnnlab.app.config.compose import compose_plan
    from rnnlab.paths import conf_dir

    for text in ("${seed}", "a\\${b}", "it's ${seed}"):
        [job] = compose_plan(conf_dir(), [override_text("tracking.experiment", text)], multirun=False).jobs
        assert job.config["tracking"]["experiment"] == text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (np.arange(2), "seed=0,1"),
        (np.array([0.1, 1.0]), "seed=0.1,1.0"),
        (range(3), "seed=0,1,2"),
        ((None, True), "seed=null,true"),
        ([Path("a b"), "x"], "seed='a b',x"),
        (np.float32(0.5), "seed=0.5"),
        ("null", "seed='null'"),
    ],
)
def test_collections_of_all_kinds_are_axes(values: Any, line: str) -> None:
    assert axis_text("seed", values) == line


def test_pair_accepts_a_list() -> None:
    assert axis_text("pair", ["cell", "lr"]) == "pair=[cell,lr]"


@pytest.mark.parametrize("value", [object(), {"a": 1}, b"x", 1j, {1: 2}])
def test_other_values_are_refused(value: Any) -> None:
    for write in (override_text, axis_text):
        with pytest.raises(ConfigProblems, match=r"^seed=.* has the type .*; must be a number, a string"):
            write("seed", value)
    with pytest.raises(ConfigProblems, match=r"^seed=\[\]: must contain at least one value$"):
        axis_text("seed", [])
