"""Every key refuses a number outside the range of the run's dtype."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_types import Gt

from rnnlab.app.config.build import build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.paths import conf_dir
from rnnlab.records import FirstNonFinite
from tests.fuzz.configs import Key, real_keys, types_in
from tests.processes import TINY as SMALL
from tests.processes import run

HUGE, TINY = "infinity in float32; must be at most 3.4028235e+38", "0 in float32; must be at least 1.4e-45"


REAL = real_keys()
POSITIVE = [key for key in REAL if Gt(0) in types_in(key.hint)]


@cache
def composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    return compose_plan(conf_dir(), overrides, multirun=False).jobs[0].config


def problems_of(key: Key, value: str, dtype: str) -> list[str]:
    in_list = f"[{value},{value}]" if "tuple" in str(key.hint) or "list" in str(key.hint) else value
    needs = [f"{name}={option}" for name, option in key.needs]
    try:
        build(composed((*needs, f"{key.name}={in_list}")) | {"dtype": dtype})
    except InvalidConfig as error:
        return error.problems
    return []


@pytest.mark.parametrize("key", REAL, ids=lambda key: f"{key.name} {dict(key.needs)}")
@pytest.mark.parametrize("value", ["1e39", "-1e308", f"{10**39}"])
def test_a_number_beyond_the_range_is_refused(key: Key, value: str) -> None:
    found = problems_of(key, value, "float32")
    assert found and all(line.startswith(key.name) for line in found)
    assert HUGE in found[0] or "must be" in found[0]  # if the key itself has narrower bounds
    assert not any("infinity" in line for line in problems_of(key, value, "float64"))


@pytest.mark.parametrize("key", POSITIVE, ids=lambda key: f"{key.name} {dict(key.needs)}")
def test_a_number_that_underflows_to_0_is_refused_where_0_is_refused(key: Key) -> None:
    found = problems_of(key, "1e-60", "float32")
    assert found and (TINY in found[0] or "must be" in found[0])
    assert not any("0 in" in line for line in problems_of(key, "1e-60", "float64"))


def test_real_valued_keys_are_found() -> None:
    names = {key.name for key in REAL}
    assert {
        "lr",
        "clip",
        "cell.forget_bias",
        "init.W_hh.gain",
        "optimizer.epsilon",
        "task.noise_std",
    } <= names
    assert {"lr", "clip", "optimizer.epsilon", "init.b_h.gain"} <= {key.name for key in POSITIVE}


def test_a_tiny_number_is_accepted_where_0_is() -> None:
    (beta,) = [key for key in REAL if key.name == "optimizer.beta1"]
    assert problems_of(beta, "1e-60", "float32") == []


def test_a_run_with_an_infinite_weight_is_not_finished() -> None:
    """A saturated unit hides the infinite weight from the loss and the gradients."""
    small = ["hidden_size=3", "seq_len=5", "batch_size=2", "steps=2", "probe=none", "val_every=null"]
    experiment = build(compose_plan(conf_dir(), small, multirun=False).jobs[0].config)
    weights, batches, _ = generators(0)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.dtype("float32"))
    params["W_xh"][0] = np.inf
    records = list(experiment.trainer.train(params, batches))
    assert [record.step for record in records] == [0, 1, 2]
    assert records[-1].non_finite == FirstNonFinite("W_xh", None)


def test_overflowing_initial_weights_end_the_run_as_diverged(tmp_path: Path) -> None:
    large = ("init=normal", "init.W_xh.gain=3.4e38", "val_every=null", "tracking=none", "figures=false")
    done = run(tmp_path, *SMALL, *large)
    assert done.code == 0 and "diverged" in done.out and done.err == ""


def test_given_states_may_be_as_large_as_the_dtype(tmp_path: Path) -> None:
    np.savez(tmp_path / "large.npz", h=np.full(3, -1e39))
    given = ["initial_state=given", f"initial_state.path={tmp_path / 'large.npz'}", "hidden_size=3"]
    build(compose_plan(conf_dir(), [*given, "dtype=float64"], multirun=False).jobs[0].config)
    with pytest.raises(InvalidConfig, match="overflow to infinity in float32"):
        build(compose_plan(conf_dir(), given, multirun=False).jobs[0].config)
