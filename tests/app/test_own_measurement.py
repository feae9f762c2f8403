"""A measurement of one's own is one function and one YAML file, as CONTRIBUTING.md has it."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any

import numpy as np
import pytest
import yaml
from annotated_types import Gt

from rnnlab import diagnostics
from rnnlab.app.compose import compose_plan
from rnnlab.app.schema import build, generators
from rnnlab.app.validation import InvalidConfig
from rnnlab.diagnostics import Readings, Snapshot, curves
from rnnlab.paths import conf_dir

BLOCKS = re.findall(
    r"\n((?:    .*\n|\n)+)", (conf_dir().parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
)
FUNCTION = dedent(next(block for block in BLOCKS if "def measure_sparsity" in block))
YAML = dedent(next(block for block in BLOCKS if "@package" in block))


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The two, where a user would put them."""
    names: dict[str, Any] = {
        "np": np, "Snapshot": Snapshot, "Readings": Readings, "curves": curves, "Annotated": Annotated, "Gt": Gt
    }  # fmt: skip
    exec(FUNCTION, names)
    monkeypatch.setattr(diagnostics, "measure_sparsity", names["measure_sparsity"], raising=False)
    (tmp_path / "measurement").mkdir()
    (tmp_path / "measurement" / "sparsity.yaml").write_text(YAML, encoding="utf-8")
    return tmp_path


def config(own: Path, *overrides: str) -> dict[str, Any]:
    small = ("steps=3", "hidden_size=5", "batch_size=3", "seq_len=4", "val_every=null")
    return compose_plan(conf_dir(), [*small, *overrides], False, str(own)).jobs[0].config


@pytest.mark.parametrize("probe", ["none", "standard"])
def test_it_is_added_to_any_probe(own: Path, probe: str) -> None:
    experiment = build(config(own, f"probe={probe}", "+measurement=sparsity"))
    weights, batches, _ = generators(0)
    params = experiment.trainer.model.init_params(weights, experiment.settings.init, np.float32)
    records = list(experiment.trainer.train(params, batches))
    for record in records[:-1]:
        (curve,) = (curve for curve in record.gradients if curve.quantity == "h_small")
        assert curve.index.tolist() == [1, 2, 3, 4] and curve.axis == "timestep"
        assert record.metrics["own/small"] == pytest.approx(curve.mean.mean())


def test_its_options_are_checked_by_its_annotations(own: Path) -> None:
    with pytest.raises(InvalidConfig) as caught:
        build(config(own, "+measurement=sparsity", "probe.measurements.sparsity.threshold=0"))
    assert caught.value.problems == ["probe.measurements.sparsity.threshold=0: must be greater than 0"]
    assert yaml.safe_load(YAML)["threshold"] == 0.1
