"""A probe for a training loop of torch that changes no weight, gradient, output or random number."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from rnnlab.analysis.frames.run_tables import frame_of_curves
from rnnlab.library.curves import UNIT_LOSS, LagCurve, with_labels
from rnnlab.library.frameworks import installed
from rnnlab.text import format_number
from rnnlab.torch.calls import Call, record
from rnnlab.torch.layers import KINDS
from rnnlab.torch.measuring import DIRECTIONS, NotReproduced, measure
from rnnlab.torch.modules import Hook, recurrent_modules
from rnnlab.torch.stored import open_folder, store

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN_LOSS = "own loss"
"""Value of the column `loss` of lag curves of the user's loss."""


def watch(
    model: Any,
    every: int = 400,
    folder: str | Path | None = None,
    *,
    replace: bool = False,
    sequences: int = 32,
    curve_sequences: int = 4,
    reduction: Literal["mean", "sum"] = "mean",
    start: int = 0,
    seed: int = 0,
) -> "Probe":
    """Return a probe that is attached to every nn.RNN, nn.LSTM and nn.GRU of a model.

    Call `probe.step()` after each backward pass. A `with` block detaches the probe at its end.

    Args:
        model: A recurrent module, or a module that contains some.
        every: Interval of the measurements, in calls of `step`.
        folder: Folder in which each measurement is stored as a Parquet file; `pandas.read_parquet` reads the
            whole folder. None stores nothing.
        replace: True to delete measurements that the folder has of the step `start` and later ones; False
            to refuse such a folder. Measurements of earlier steps remain, for a resumed training.
        sequences: Maximum number of sequences of the batch whose gradient norms are measured, the first ones.
        curve_sequences: Maximum number of sequences whose lag curves are measured.
        reduction: `mean` if the loss is a mean over the sequences of the batch. The gradients are then
            multiplied by the batch size and are those of the loss of a single sequence. `sum` if it is a sum.
        start: Number of the first training step.
        seed: Seed of the random unit vectors of the lag curves.

    Raises:
        ImportError: If torch is not installed.
        ValueError: If an argument is invalid, if the folder has measurements that would be replaced, or if
            the model has no module that can be measured.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction={reduction!r}: must be 'mean' or 'sum'")
    counts = (("every", every), ("sequences", sequences), ("curve_sequences", curve_sequences))
    for name, value, least in (*((*pair, 1) for pair in counts), ("start", start, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r}: must be an integer of at least {least}")
    modules = recurrent_modules(model)
    opened = None if folder is None else open_folder(folder, start, replace)
    probe = Probe(modules, every, opened, sequences, curve_sequences, reduction == "mean", start, seed)
    probe.attach()
    return probe


class Probe:
    """Measurements of the recurrent modules of a model during training; `watch` creates it."""

    def __init__(
        self,
        modules: dict[str, Any],
        every: int,
        folder: Path | None,
        sequences: int,
        curve_sequences: int,
        is_mean: bool,
        start: int,
        seed: int,
    ) -> None:
        self.every = every
        self._modules, self._folder, self._seed = modules, folder, seed
        self._sequences, self._curve_sequences = sequences, min(curve_sequences, sequences)
        self._is_mean, self._count, self._calls_seen = is_mean, start, dict.fromkeys(modules, 0)
        self._calls: dict[str, Call] = {}
        self._rng_states: dict[str, Any] = {}
        self._refused: set[str] = set()
        self._handles: list[Any] = []
        self._reasons: dict[str, str] = {}
        self._frames: list[pd.DataFrame] = []
        self._own: dict[tuple[str, str, int], LagCurve] = {}

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def attach(self) -> None:
        """Register the hooks; has no effect if the probe is attached."""
        if self._handles:
            return
        for name, module in self._modules.items():
            before, after = self._hooks(name)
            self._handles.append(module.register_forward_pre_hook(before))
            self._handles.append(module.register_forward_hook(after, with_kwargs=True))

    def close(self) -> None:
        """Remove all hooks; the measurements remain."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._forget()

    def step(self, loss_scale: float = 1.0) -> None:
        """Count a training step, and measure it if it is due.

        Args:
            loss_scale: Factor by which the loss was multiplied before its backward pass, such as
                `scaler.get_scale()` with mixed precision.
        """
        if self._is_due:
            for name in self._modules:
                self._measure(name, loss_scale)
        self._forget()
        self._count += 1

    @property
    def steps(self) -> list[int]:
        """Numbers of the measured training steps."""
        return sorted({int(frame["step"].iloc[0]) for frame in self._frames})

    @property
    def gradients(self) -> pd.DataFrame:
        """All measurements, with the columns of `load_gradients`.

        `run` is the name of the module within the model. A bidirectional module has the column `direction`.

        Raises:
            ValueError: If nothing was measured.
        """
        if not self._frames:
            raise ValueError(f"gradients: nothing was measured{self._why()}")
        frame = pd.concat(self._frames, ignore_index=True)
        for column in ("run", "cell", "direction", "quantity"):
            if column in frame:
                frame[column] = frame[column].astype("category")
        return frame

    def lag_curve(
        self, step: int = -1, module: str | None = None, direction: str | None = None, own_loss: bool = False
    ) -> LagCurve:
        """Return the lag curve of a measured training step.

        Args:
            step: Number of the training step; -1 selects the last measurement.
            module: Name of the module; None if there is one only.
            direction: `forward` or `reverse` in a bidirectional module; None selects `forward`.
            own_loss: True for the curve of the loss of the training loop, which exists if its gradient
                reaches the outputs of each sequence at a single time step. False for the curve of a random
                unit vector on the final output.

        Raises:
            ValueError: If there is no such curve.
        """
        name = self._module(module)
        directions = DIRECTIONS if self._modules[name].bidirectional else ("",)
        selected = directions[0] if direction is None else direction
        if selected not in directions:
            allowed = "None" if directions == ("",) else "'forward' or 'reverse'"
            raise ValueError(f"direction={direction!r}: must be {allowed}")
        found = self.gradients
        found = found[found["run"] == name]
        found = found[found["direction"] == selected] if selected else found
        measured = sorted(int(number) for number in found["step"].unique())
        number = measured[-1] if step == -1 and measured else step
        if number not in measured:
            raise ValueError(f"step={step}: not measured; measured steps: {', '.join(map(str, measured))}")
        if own_loss:
            if (name, selected, number) not in self._own:
                raise ValueError(
                    f"own_loss: the loss of step {number} reaches the outputs at several time steps; "
                    "a lag curve needs a loss at one"
                )
            return self._own[name, selected, number]
        rows = found[(found["step"] == number) & found["lag"].notna()].reset_index(drop=True)
        label = f"{name}{f' {selected}' if selected else ''}, step {number}"
        return LagCurve(rows.assign(loss=pd.Categorical([UNIT_LOSS] * len(rows))), label, UNIT_LOSS)

    def plot(
        self, steps: Sequence[int] | None = None, module: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw the lag curves of some training steps, by default the first and the last measured one.

        Args:
            steps: Numbers of measured training steps.
            module: Name of the module; None if there is one only.
            ax: Axes to draw on; None creates a new figure.

        Raises:
            ValueError: If nothing was measured at one of the steps.
        """
        from rnnlab.analysis import draw_lag_curves
        from rnnlab.analysis.figures.style import add_title

        if not self._frames:
            raise ValueError("nothing has been measured yet; call step() after a backward pass")
        name = self._module(module)
        chosen = list(dict.fromkeys([self.steps[0], self.steps[-1]] if steps is None else steps))
        found = [self.lag_curve(number, name) for number in chosen]
        frames = [curve.frame.assign(step=0) for curve in found]
        for part, number in zip(frames, chosen, strict=True):
            part["training step"] = str(number)
            part["run"] = f"{name}, step {number}"
        order = pd.CategoricalDtype([str(number) for number in chosen])
        frame = pd.concat(frames, ignore_index=True).astype({"training step": order})
        drawn: Axes = draw_lag_curves(frame, ax, hue="training step", style="training step")
        values = zip(found, chosen, strict=True)
        gains = [(format_number(curve.gain, ".3g"), curve.horizon, number) for curve, number in values]
        add_title(
            drawn,
            f"{name}: gain per time step {', '.join(f'{gain} (step {number})' for gain, _, number in gains)}",
            f"horizon {', '.join(f'{horizon} (step {number})' for _, horizon, number in gains)}",
        )
        return drawn

    def __repr__(self) -> str:
        names = ", ".join(self._modules)
        state = "attached" if self._handles else "closed"
        return f"Probe({names}: every {self.every} steps, {len(self.steps)} measured, {state})"

    # ── hooks ──

    @property
    def _is_due(self) -> bool:
        return self._count % self.every == 0

    def _hooks(self, name: str) -> tuple[Any, Any]:
        torch = installed("torch")

        def before(module: Any, args: tuple[Any, ...]) -> None:
            if self._is_due and torch.is_grad_enabled() and module.training and module.num_layers > 1:
                self._rng_states[name] = torch.get_rng_state() if module.dropout else None

        def after(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
            if not self._is_due or not torch.is_grad_enabled():
                return
            call, reason = record(module, args, kwargs, outputs, self._rng_states.pop(name, None))
            if call is not None:
                self._calls[name] = call
                self._calls_seen[name] += 1
            elif reason:
                self._refuse(name, reason)

        return Hook(before), Hook(after)

    def _forget(self) -> None:
        self._calls.clear()
        self._rng_states.clear()
        self._refused.clear()
        self._calls_seen = dict.fromkeys(self._modules, 0)

    # ── measurements ──

    def _measure(self, name: str, loss_scale: float) -> None:
        call = self._calls.get(name)
        if call is None and name in self._refused:
            return
        if call is None or not call.grads:
            self._refuse(name, "no backward pass reached the outputs of the module before step()")
            return
        if self._calls_seen[name] > 1:
            self._note(name, "the module was called several times in one step; the last call is measured")
        if call.is_half:
            self._note(name, "tensors of half precision are converted to float32")
        factor = (call.batch if self._is_mean else 1) / loss_scale
        try:
            found = measure(call, self._sequences, self._curve_sequences, factor, self._seed)
        except NotReproduced as error:
            self._refuse(name, str(error))
            return
        cell, frames = KINDS[call.mode], []
        has_directions = any(module.bidirectional for module in self._modules.values())
        for direction, part in found.items():
            labels = {"run": name, "cell": cell}
            labels |= {"direction": direction or "forward"} if has_directions else {}
            frames.append(with_labels(frame_of_curves(self._count, [*part.norms, *part.unit]), **labels))
            if part.own:
                curve = LagCurve.from_logs(part.own, f"{name}, step {self._count}", OWN_LOSS, cell)
                self._own[name, direction, self._count] = curve
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self._frames.append(frame)
        if self._folder is not None and (problem := store(self._folder, name, self._count, frame)):
            self._note(name, problem, key="not stored")

    def _module(self, name: str | None) -> str:
        if name is None and len(self._modules) == 1:
            return next(iter(self._modules))
        if name not in self._modules:
            raise ValueError(f"module={name!r}: must be one of {', '.join(map(repr, self._modules))}")
        return name

    def _refuse(self, name: str, reason: str) -> None:
        self._refused.add(name)
        self._note(name, f"{reason} (step {self._count} is not measured)", key=reason)

    def _note(self, name: str, text: str, key: str | None = None) -> None:
        """Warn once about each reason."""
        key = f"{name}: {key or text}"
        if key not in self._reasons:
            self._reasons[key] = text
            warnings.warn(f"rnnlab.torch: {name}: {text}", RuntimeWarning, stacklevel=4)

    def _why(self) -> str:
        return (
            "".join(f"; {text}" for text in self._reasons.values())
            or "; call step() after each backward pass"
        )
