"""Public functions of `rnnlab.analysis` report each wrong argument and the allowed values in one line."""

import inspect
from pathlib import Path
from typing import Any, get_type_hints

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab import analysis
from rnnlab.analysis import MLflowRuns
from rnnlab.analysis.arguments import FRAMES
from tests.analysis.many_runs import gradients_frame, metrics_frame, runs_frame
from tests.runs.small_runs import whole_run

RUNS = runs_frame()
OF = {"runs": RUNS, "gradients": gradients_frame(RUNS), "metrics": metrics_frame(RUNS)}
PUBLIC = {name: getattr(analysis, name) for name in analysis.__all__}
DRAW = {name: function for name, function in PUBLIC.items() if name.startswith("draw_")}
LOAD = {name: function for name, function in PUBLIC.items() if name.startswith("load_")}
MORE = {"draw_phase_diagram": {"x": "seq_len", "color": "gain"}, "draw_time_heatmap": {"run": "mean"}}
MORE |= {name: {"run": "mean"} for name in ("draw_layer_heatmap", "draw_layer_curves", "draw_unit_heatmap")}
"""Further arguments that a figure of these frames requires."""
WRONG = ("z", "", 7, 1.5, True, None, b"x", object(), ["cell", "seq_len"], [1], {"cell": 1}, ("x",), RUNS)
COLUMNS = ("listed", "nested", "nothing", "when", "clip", "run")
ALLOWED = {
    "ax": (None,),
    "axes": (None,),
    "step": ("last", 5),
    "steps": ("last", 3, [0, 3], np.array([0])),
    "targets": (True, np.True_),
    "where": (None, "cell == 'rnn'"),
}


@pytest.fixture(autouse=True)
def closed() -> Any:
    yield
    plt.close("all")


def frame_of(name: str) -> tuple[str, pd.DataFrame]:
    """Return the name of a drawing function's first argument, and a frame for it."""
    argument = next(iter(inspect.signature(DRAW[name]).parameters))
    return argument, OF[argument]


def one_line(argument: str, error: BaseException) -> bool:
    return str(error).startswith(argument) and "\n" not in str(error) and len(str(error)) < 700


@pytest.mark.parametrize("name", sorted(DRAW))
def test_a_figure_names_the_argument_that_is_wrong(name: str) -> None:
    _, frame = frame_of(name)
    for argument in list(inspect.signature(DRAW[name]).parameters)[1:]:
        for value in WRONG:
            given = MORE.get(name, {}) | {argument: value}
            try:
                DRAW[name](frame, **given)
            except (TypeError, ValueError) as error:
                expected = one_line(argument, error) or str(error).startswith(
                    ("run=None: the frame has 24", "run='mean': the runs also differ")
                )
                assert expected, (argument, value, error)
            else:
                hint = get_type_hints(DRAW[name])[argument]
                assert isinstance(value, bool | None) and (hint is bool) == isinstance(value, bool), argument
            plt.close("all")


@pytest.mark.parametrize("name", sorted(DRAW))
def test_a_figure_takes_the_frame_of_its_loader_alone(name: str) -> None:
    argument, frame = frame_of(name)
    for other, wrong in OF.items():
        if other != argument:
            with pytest.raises(ValueError, match=rf"^{argument}: data frame from load_{other}"
                               if other != "runs" else "no such column|not in the frame"):  # fmt: skip
                DRAW[name](wrong, **MORE.get(name, {}))
    for wrong in (None, 5, "runs", [frame], frame.to_dict(), np.zeros(3), frame["cell"]):
        with pytest.raises(TypeError, match=f"^{argument}=.*: must be a DataFrame from load_{argument}$"):
            DRAW[name](wrong)
    with pytest.raises(ValueError, match=f"^{argument}: the data frame has no rows"):
        DRAW[name](frame[:0])
    with pytest.raises(ValueError, match=f"^{argument}: the data frame has no rows"):
        DRAW[name](pd.DataFrame())
    with pytest.raises(ValueError, match=f"^{argument}: duplicate column 'cell'"):
        DRAW[name](pd.concat([frame, frame[["cell"]]], axis=1))


@pytest.mark.parametrize("name", sorted(DRAW))
def test_any_column_can_be_an_axis_or_is_refused_in_a_line(name: str) -> None:
    _, frame = frame_of(name)
    odd = frame.assign(listed=[["a"]] * len(frame), nothing=None, when=pd.Timestamp("2026-01-01", tz="UTC"))
    odd["nested"] = odd["nested2"] = [{"a": 1}] * len(odd)
    roles = [
        r for r in ("x", "y", "hue", "style", "col", "row") if r in inspect.signature(DRAW[name]).parameters
    ]
    for role in roles:  # the rules for columns are the same for all roles
        for column in COLUMNS if role == roles[0] else ("nested", "clip"):
            if role in ("col", "row") and column == "run":
                continue  # a grid of 24 Axes is slow
            try:
                DRAW[name](odd, **(MORE.get(name, {}) | {role: column}))
            except ValueError as error:
                assert str(error).startswith(f"{role}="), (role, column, error)
                assert column in ("listed", "nested", "nothing")
            plt.close("all")


def test_a_wrong_axes_argument_is_explained() -> None:
    with pytest.raises(TypeError) as raised:
        analysis.draw_gain(RUNS, "lr")  # type: ignore[arg-type]
    assert str(raised.value) == "ax='lr': must be a matplotlib Axes or None; did you mean x='lr'?"
    for frame, given, meant in (("metrics", "cell", "hue"), ("metrics", "val/loss", "metric")):
        with pytest.raises(TypeError, match=f"did you mean {meant}={given!r}"):
            analysis.draw_losses(OF[frame], given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^hue=\['cell', 'clip'\]: must be a string or None$"):
        analysis.draw_gain(RUNS, hue=["cell", "clip"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^axes=<.*Axes.*>: must be a list of matplotlib Axes or None$"):
        analysis.draw_clipping(RUNS, Figure().subplots())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^traces='no': must be True or False$"):
        analysis.draw_losses(OF["metrics"], traces="no")  # type: ignore[arg-type]


def test_allowed_values_are_accepted() -> None:
    top, bottom = Figure(layout="constrained").subplots(2)
    for axes in ([top, bottom], (top, bottom), np.array([top, bottom])):
        assert isinstance(analysis.draw_clipping(RUNS, axes)[0], Axes)
    assert analysis.draw_gain(RUNS, top, value="grad/gain_tail") is top
    analysis.draw_lag_curves(OF["gradients"], bottom, step=np.int64(5))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(LOAD))
def test_a_loader_names_the_argument_that_is_wrong(name: str, tmp_path: Path) -> None:
    whole_run(tmp_path / "0")
    for argument in list(inspect.signature(LOAD[name]).parameters)[1:]:
        for value in (*WRONG, ["x", 3], [["a"], ["b", "c"]], [True], np.array(5), np.zeros((2, 2), int)):
            if isinstance(value, bool | None) or (
                argument == "where" and isinstance(value, str) and value == "z"
            ):
                continue
            try:
                LOAD[name](tmp_path, **{argument: value})
            except (TypeError, ValueError) as error:
                assert one_line(f"{argument}=", error), (argument, value, error)
            else:
                raise AssertionError((argument, value))
        for value in ALLOWED.get(argument, ()):
            LOAD[name](tmp_path, **{argument: value})
    for source in (None, 5, 1.5, b"x", [5], {"a": 1}, object()):
        with pytest.raises(
            TypeError,
            match=r"^source=.*: must be a string, a path, a list of strings or paths, a DataFrame or MLf",
        ):
            LOAD[name](source)
    with pytest.raises(ValueError, match=r"^source: the DataFrame has no column 'run_id'"):
        LOAD[name](RUNS)
    assert len(LOAD[name]({tmp_path})) > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("experiment", None), ("experiment", 5), ("sweep", 5), ("sweep", ["a"]), ("uri", 5), ("cache", 5)],
)
def test_where_runs_are_in_mlflow_is_checked(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{field}=.*: must be a string"):
        MLflowRuns(**{field: value})


def test_every_public_function_is_checked() -> None:
    for name, function in {**DRAW, **LOAD}.items():
        assert inspect.unwrap(function) is not function, name
        assert set(inspect.signature(function).parameters) & {*FRAMES, "source"}, name
