"""The unit of a loss is that of the task's main metric."""

import math
from pathlib import Path

import numpy as np
import pytest

from rnnlab.app.config.build import build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.paths import conf_dir
from rnnlab.tasks.loss_units import loss_unit

SMALL = ("hidden_size=4", "batch_size=3", "tracking=none")


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["seq_len=5"], "bits per character"),
        (["task=adding", "seq_len=12"], "mean squared error"),
        (["task=series", "seq_len=12", "task.path=two.csv"], "mean squared error"),
        (["task=copy", "seq_len=5"], "nats per target"),
        (["task=noise", "seq_len=5"], "nats per target"),
        (["task=digits_rows"], "nats per target"),
        (["seq_len=5", "loss=squared_error"], "half the squared error"),
        (["task=latch", "seq_len=12", "loss=squared_error"], "half the squared error"),
    ],
)
def test_a_loss_in_its_unit_equals_the_metric(
    overrides: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n % 7},{n % 5}\n" for n in range(600))
    Path("two.csv").write_text(f"a,b\n{rows}")
    (job,) = compose_plan(conf_dir(), [*SMALL, *overrides], multirun=False).jobs
    experiment = build(job.config)
    trainer = experiment.trainer
    unit = loss_unit(trainer.task, trainer.model.loss)
    assert unit.name == name
    params = trainer.model.init_params(generators(0)[0], experiment.settings.init, np.dtype("float64"))
    metrics, metric = trainer.validate(params), trainer.task.goal(trainer.model.loss).metric
    loss = metrics["val/loss"]
    assert loss is not None
    if metric in ("val/bpc", "val/mse"):
        assert metrics[metric] == pytest.approx(unit.factor * loss)
    else:
        assert math.isclose(unit.factor, 1)
