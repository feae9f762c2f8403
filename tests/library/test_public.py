"""The public names: listed, documented, with examples that run, and light to import."""

import ast
import inspect
import re
import subprocess
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import rnnlab as rl
from tests.surroundings import ROOT, environment

CONSTANTS = {"CELL_COLORS"}
PAGE = (ROOT / "docs" / "own_network.md").read_text(encoding="utf-8")


def names_of(package: str) -> list[str]:
    tree = ast.parse((ROOT / package / "__init__.pyi").read_text(encoding="utf-8"))
    return sorted(
        a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names
    )


def methods_of(cls: type) -> list[str]:
    return [
        name
        for part in cls.__mro__
        if part.__module__.startswith("rnnlab")
        for name, member in vars(part).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, classmethod))
    ]


def test_the_package_lists_its_public_names() -> None:
    assert dir(rl) == names_of("rnnlab") and set(names_of("rnnlab/analysis")) <= set(dir(rl))
    import rnnlab.analysis

    assert dir(rnnlab.analysis) == names_of("rnnlab/analysis")
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"rnnlab\.(\w+)", page))
    assert listed == set(names_of("rnnlab"))
    with pytest.raises(AttributeError, match="nothing"):
        rl.nothing  # noqa: B018


INTERNAL = {"from_logs", "read_all"}
"""Methods that other modules call and the reference omits."""


@pytest.mark.parametrize("name", [name for name in dir(rl) if name not in CONSTANTS])
def test_every_public_name_has_an_example(name: str) -> None:
    """The examples are run by tests/test_pages.py."""
    thing = getattr(rl, name)
    assert ">>> " in inspect.getdoc(thing), name
    if not isinstance(thing, type) or issubclass(thing, Warning):
        return
    drawn = {method for method in methods_of(thing) if method.startswith("draw_")}  # shown in the class
    for method in set(methods_of(thing)) - drawn - INTERNAL:
        assert ">>> " in inspect.getdoc(getattr(thing, method)), f"{name}.{method}"


def test_importing_the_package_loads_no_library() -> None:
    code = (
        "import sys, rnnlab; print([m for m in ('numpy', 'pandas', 'hydra', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


VALUES: dict[str, Any] = {
    "step": 0,
    "quantity": "state",
    "layer": [1, 1, 2, 2],
    "lag": [0, 1, 0, 1],
    "timestep": [1, 2, 1, 2],
    "unit": [1, 1, 2, 2],
    "log10_gmean": [0.0, -1.0, 0.0, -2.0],
    "metric": "loss",
    "value": [1.0, 0.5, 1.0, 0.4],
    "grad/log10_gain_tail": [-0.1, -0.2, 0.1, 0.0],
    "grad/horizon": [3, 4, 5, 6],
    "grad/clip_rate": [0.1, 0.2, 0.3, 0.4],
    "val/solved": [0, 1, 1, 0],
    "regime": "stable",
    "gain": [0.5, 1.0, 1.5, 2.0],
    "width": [1, 2, 1, 2],
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "draw_losses": {"metric": "loss"},
    "draw_time_heatmap": {"quantity": "state"},
    "draw_layer_curves": {"quantity": "state"},
    "draw_layer_heatmap": {"quantity": "state"},
    "draw_clipping": {"loss": "value"},
}


def rows() -> list[tuple[str, list[str]]]:
    """Return the drawing functions of the page and the columns that the page requires."""
    found = []
    for name, columns in re.findall(r"^\| (`draw_.+?) \| (.+?) \|", PAGE, re.MULTILINE):
        plain = re.sub(r"\(.*?\)|;.*", "", columns)
        required = re.findall(r"`([\w/]+)`", plain.partition(" or ")[0])
        found += [(function, required) for function in re.findall(r"`(\w+)`", name)]
    return found


def test_the_page_describes_every_figure() -> None:
    assert {name for name, _ in rows()} == {name for name in dir(rl) if name.startswith("draw_")}


@pytest.mark.parametrize(("name", "columns"), rows())
def test_a_user_defined_frame_needs_only_the_documented_columns(name: str, columns: list[str]) -> None:
    function, arguments = getattr(rl, name), dict(ARGUMENTS.get(name, {}))
    parameters = inspect.signature(function).parameters
    axes = {"x": "gain", "y": "width"} if "y" in parameters else {"x": "gain"} if "x" in parameters else {}
    extra = [arguments["loss"]] if "loss" in arguments else []
    needed = [*columns, *axes.values(), *extra]
    values = VALUES | ({"quantity": "h_by_unit"} if name == "draw_unit_heatmap" else {})
    if name == "draw_unit_heatmap":
        values |= {"layer": 1}
    if "layer" not in columns:
        values |= {"timestep": [1, 2, 3, 4], "lag": [0, 1, 2, 3]}
    frame = pd.DataFrame({column: values[column] for column in needed}, index=range(4))
    try:
        drawn = function(frame, **arguments, **axes)
        axis = drawn if hasattr(drawn, "has_data") else np.ravel(drawn)[0]
        assert axis.has_data()
        for column in needed:
            with pytest.raises(ValueError, match=re.escape(column)):
                function(frame.drop(columns=column), **arguments, **axes)
    finally:
        plt.close("all")


def test_invalid_values_in_a_user_defined_frame_are_reported() -> None:
    frame = pd.DataFrame({name: VALUES[name] for name in ("gain", "width", "regime")}, index=range(4))
    with pytest.raises(
        ValueError, match=r"^column 'regime': has the value 'growing'; allowed: vanishing, stable"
    ):
        rl.draw_phase_diagram(frame.assign(regime="growing"), x="gain", y="width")
    curve = {"step": float("nan"), "quantity": "state", "lag": [0, 1], "log10_gmean": [0.0, -1.0]}
    with pytest.raises(ValueError, match=r"^column 'step': has no values$"):
        rl.draw_lag_curves(pd.DataFrame(curve))
    losses = pd.DataFrame({"step": [0], "metric": ["val/loss"], "value": [1.0]})
    with pytest.raises(ValueError, match=r"did you mean 'val/loss'"):
        rl.draw_losses(losses, metric="val/los")
    with pytest.raises(
        TypeError, match=r"^draw_losses: got an unexpected keyword argument 'huee'; allowed: metrics"
    ):
        rl.draw_losses(losses, huee="cell")  # type: ignore[call-arg]
