"""Measurement of networks that were trained elsewhere, recorded as an ordinary run."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.app.config.override_text import override_text
from rnnlab.app.config.plan import sweep_name
from rnnlab.app.jobs.provenance import code, machine
from rnnlab.app.jobs.run_job import draw_figures
from rnnlab.app.jobs.run_monitor import RunMonitor
from rnnlab.arrays import Array
from rnnlab.blas import one_blas_thread
from rnnlab.cells import layers_of
from rnnlab.diagnostics import (
    ProbeInputs,
    Readings,
    Snapshot,
    lag_curves_of,
    ln_unit_lag_curves,
    measure_gates,
    measure_jacobians,
    measure_lag_curves,
    measure_lyapunov,
    measure_norms,
    measure_parameters,
    measure_spectrum,
    measure_theory,
    norms_by_timestep_of,
)
from rnnlab.diagnostics.lag_curves import metrics_by_layer
from rnnlab.diagnostics.statistics import BLOCKS
from rnnlab.library.composing import compose_network
from rnnlab.library.curves import UNIT_LOSS
from rnnlab.library.folders import new_run_folder, not_writable
from rnnlab.library.inputs import AXES, read_batch, read_inputs, refuse_mask_without_targets
from rnnlab.library.network_measurements import MAX_EXPONENTS, MAX_WARM_UP
from rnnlab.library.networks import Network
from rnnlab.library.runs import Run, run_in_folder, temporary_folder
from rnnlab.model import Batch, Tape
from rnnlab.records import LOSS, FirstNonFinite, StepRecord, finite_or_none
from rnnlab.runs.checkpoint import clear_resume_files
from rnnlab.runs.folder import RunFolder
from rnnlab.workspace import Workspace

LAGS = 24
"""Maximum number of lags of the singular values, as in conf/measurement/jacobians.yaml."""
OWN = "own"
"""Value of `task` for inputs of the user."""


@one_blas_thread()
def measure_networks(
    networks: Network | Mapping[int, Network],
    x: Any,
    y: Any = None,
    *,
    mask: Any = None,
    axes: str = AXES,
    folder: str | Path | None = None,
    name: str | None = None,
    command: str = "",
) -> Run:
    """Measure a network, or several checkpoints of one training, and return the measurements as a run.

    The run contains lag curves, gradient norms by time step, singular values, Lyapunov exponents, gates,
    weights and theory, like a run of `train` with `probe=full`.

    Args:
        networks: Network, or networks by training step.
        x: Inputs, with the axes (time, features, batch) or, for integer symbols, (time, batch). Networks
            that were loaded with an embedding look the symbols up in their own.
        y: Targets, as in `Network.lag_curve`; None for the loss wᵀ h[T] with random unit vectors w.
        mask: True where a target counts; None for all targets.
        axes: Order of the axes of all arrays.
        folder: New folder in which the run is recorded; None for no folder.
        name: Name of the run; None for the name of the network.
        command: Command line that repeats the measurement, for the record.

    Raises:
        ValueError: If an array does not fit the networks, if the networks differ in their equations, or if
            the folder exists or cannot be created.

    >>> net = rl.network("lstm", inputs=3, hidden=8)
    >>> run = rl.measure_networks(net, np.random.default_rng(1).standard_normal((50, 3, 4)))
    >>> run.outcome, run.lag_curve().lags.max()
    ('finished', np.int64(49))
    """
    by_step = {0: networks} if isinstance(networks, Network) else dict(sorted(networks.items()))
    _check_networks(by_step)
    new_folder = None if folder is None else new_run_folder(folder)
    first = next(iter(by_step.values()))
    batch, loss = _read(first, x, y, mask, axes)
    title = name or first.name
    config = _config(first, batch, loss, max(by_step))
    info = _info(by_step, config, batch, loss, title, command)
    scratch = temporary_folder() if new_folder is None else nullcontext(new_folder)
    with scratch as place, _opened(place, info, config, folder) as record:
        monitor = RunMonitor()
        for step, net in by_step.items():
            with np.errstate(all="ignore"):
                own = batch if net.embedding is None else _read(net, x, y, mask, axes)[0]
                result = _measure_step(step, net, own, loss)
            record.write(result)
            monitor.update(result)
        record.write_weights(net.params)
        summary = monitor.summary(None) | {"seconds": round(record.seconds, 3)}
        record.close()
        if folder is not None:
            draw_figures(place)
        record.finish(monitor.outcome, summary)
        clear_resume_files(place)
        found = run_in_folder(place, command or None)
        if folder is None:
            found.read_all()
    return found


def _opened(
    place: Path, info: Mapping[str, Any], config: Mapping[str, Any], folder: str | Path | None
) -> RunFolder:
    """Return a new run folder, or raise ValueError if the caller's folder cannot be created."""
    try:
        return RunFolder(place, info, config)
    except OSError as error:
        if folder is None:
            raise
        raise not_writable(folder, error) from error


def _check_networks(networks: Mapping[int, Network]) -> None:
    if not networks:
        raise ValueError("networks: must contain at least one network")
    for step in networks:
        if not isinstance(step, int | np.integer) or isinstance(step, bool) or step < 0:
            raise ValueError(f"networks: has the key {step!r}; must be training steps, 0 or more")
    cells = [net.model.cell for net in networks.values()]
    if any(cell != cells[0] for cell in cells):
        raise ValueError("networks: must all have the same cell, sizes and layers")
    if len({net.embedding is None for net in networks.values()}) > 1:
        raise ValueError("networks: must all have an embedding, or none of them")


def _read(net: Network, x: Any, y: Any, mask: Any, axes: str) -> tuple[Batch, str]:
    """Return the batch, with targets of zeros if there are none, and the name of the loss."""
    if y is None:
        refuse_mask_without_targets(mask)
        inputs = read_inputs(x, axes, net.input_layer)
        nothing = np.zeros((1, net.outputs, inputs.shape[-1]), net.dtype)
        return Batch(inputs, nothing), UNIT_LOSS
    batch, loss = read_batch(x, y, mask, axes, net.input_layer, net.outputs)
    return batch, net.model.loss if net.has_own_loss else loss


def _measure_step(step: int, net: Network, batch: Batch, loss: str) -> StepRecord:
    """Return the measurements of one network."""
    is_unit = loss == UNIT_LOSS
    model = replace(net.model, loss="squared_error" if is_unit else loss)  # type: ignore[arg-type]
    tape = model.forward(net.params, batch, rng=np.random.default_rng(net.seed))
    grads, deltas = model.backward(net.params, tape, with_dx=False, scaled=True)
    inputs = ProbeInputs(batch, lambda length: _one_sequence(batch, length), net.seed)
    snapshot = Snapshot(step, model, net.params, tape, deltas, grads, {}, inputs, None, Workspace())
    found = [measure_gates(snapshot), measure_spectrum(snapshot), measure_theory(snapshot)]
    found.append(measure_jacobians(snapshot, examples=4, lags=LAGS))
    found += _lyapunov(snapshot, batch)
    metrics: dict[str, float | None] = {}
    if is_unit:
        found.append(_without_targets(net, tape))
    else:
        metrics[LOSS] = finite_or_none(tape.loss)
        found += [measure_norms(snapshot), measure_lag_curves(snapshot, targets=("last",))]
        found.append(measure_parameters(snapshot))
    for readings in found:
        metrics |= {key: finite_or_none(value) for key, value in readings.metrics.items()}
    broken = None if np.isfinite(tape.cell.outputs).all() else FirstNonFinite("h", None)
    return StepRecord(step, metrics, [curve for part in found for curve in part.curves], None, broken)


def _without_targets(net: Network, tape: Tape) -> Readings:
    """Return the lag curve and the norms by time step of the loss without targets."""
    logs = ln_unit_lag_curves(net.model.cell, net.params, tape.cell)
    lag_curves = lag_curves_of(logs)
    found = [*lag_curves, *norms_by_timestep_of(logs)]
    return Readings(found, metrics_by_layer(net.model.cell, lag_curves, None))


def _lyapunov(snapshot: Snapshot, batch: Batch) -> Sequence[Readings]:
    """Return the Lyapunov exponents along the first sequence, if the sequences are long enough."""
    warm_up = min(MAX_WARM_UP, batch.time // 10)
    steps = batch.time - 2 * warm_up
    if steps < BLOCKS:
        return []
    return [measure_lyapunov(snapshot, steps=steps, warm_up=warm_up, exponents=MAX_EXPONENTS)]


def _one_sequence(batch: Batch, length: int) -> Batch:
    return Batch(batch.x[:length, ..., :1], batch.y[-1:, ..., :1])


def _config(net: Network, batch: Batch, loss: str, last: int) -> dict[str, Any]:
    """Return the configuration of the record; the task is the user's own inputs."""
    cell = layers_of(net.model.cell)[0].cell
    options = {f.name: getattr(cell, f.name) for f in fields(cell) if not f.name.endswith("_size")}
    keys = {
        "layers": net.layers,
        "residual": bool(getattr(net.model.cell, "residual", False)),
        "dtype": net.dtype,
        "loss": None if loss == UNIT_LOSS else loss,
        "loss_reduction": net.model.loss_reduction,
        "readout_bias": net.model.readout.bias,
    }
    lines = [override_text(f"cell.{name}", value) for name, value in options.items()]
    _, _, config = compose_network(net.cell, net.inputs, net.hidden, net.outputs, net.seed, lines, keys)
    config["tracking"] = config["tracking"] | {"backend": "none"}
    own = {"name": OWN, "inputs": net.inputs, "outputs": net.outputs}
    return config | {"task": own, "seq_len": batch.time, "batch_size": batch.size, "steps": max(last, 1)}


def _info(
    networks: Mapping[int, Network],
    config: Mapping[str, Any],
    batch: Batch,
    loss: str,
    name: str,
    command: str,
) -> dict[str, Any]:
    """Return the initial content of `run.json`."""
    first = next(iter(networks.values()))
    keys = ("seq_len", "hidden_size", "layers", "residual", "batch_size", "steps", "dtype", "seed")
    params = {"cell": first.cell, "task": OWN, "loss": loss} | {key: str(config[key]) for key in keys}
    inputs = _digest([batch.x, batch.y])
    weights = _digest([array for net in networks.values() for array in net.params.values()])
    return {
        "id": uuid.uuid4().hex,
        "identity": hashlib.sha256(f"{inputs} {weights}".encode()).hexdigest()[:16],
        "name": name,
        "number": 0,
        "steps": config["steps"],
        "overrides": [],
        "command": command,
        "params": params,
        "engine": "numpy",
        "states": list(first.model.cell.states),
        "dataset": {"name": "own inputs", "digest": inputs, "source": "own inputs"},
        "tracking": {"experiment": "rnnlab", "points": 500},
        "seed": first.seed,
        "machine": machine(),
        "tags": {"sweep": sweep_name(Path("measured", name)), **code().tags},
    }


def _digest(arrays: Sequence[Array]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
