"""The page about torch: its Python blocks run, and its callback for Lightning watches a training."""

import re
import sys
from inspect import signature
from types import ModuleType, SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import pytest

from rnnlab.torch import watch
from tests.surroundings import ROOT

torch = pytest.importorskip("torch")
PAGE = (ROOT / "docs" / "torch.md").read_text(encoding="utf-8")
CALLBACK, _ = re.findall(r"```py\n(.+?)```", PAGE, re.DOTALL)


def test_the_examples_run() -> None:
    matplotlib.use("agg")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert names["probe"].steps == [0, 50, 100]
    assert names["curve"].name == "two speeds" and 0.9 < names["curve"].gain < 1
    plt.close("all")


def test_the_default_interval_is_that_of_the_page() -> None:
    assert f"| `every` | {signature(watch).parameters['every'].default} |" in PAGE


def test_the_lightning_callback_records_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning itself is replaced by a base class without methods, and its calls are made here."""
    lightning = ModuleType("lightning")
    lightning.Callback = object
    monkeypatch.setitem(sys.modules, "lightning", lightning)
    names: dict[str, object] = {}
    exec(CALLBACK, names)
    callback, module = names["callback"], torch.nn.GRU(3, 4)
    trainer = SimpleNamespace(global_step=800)
    callback.on_train_start(trainer, module)
    for _ in range(2):
        module(torch.zeros(5, 2, 3))[0].sum().backward()
        callback.on_after_backward(trainer, module)
    assert callback.probe.steps == [800]
    callback.on_exception(trainer, module, KeyboardInterrupt())
    callback.on_train_end(trainer, module)
    assert not module._forward_hooks
