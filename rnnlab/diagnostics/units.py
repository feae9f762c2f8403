"""Total gradient with respect to each unit at each time step of the training batch."""

from dataclasses import replace

import numpy as np

from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.diagnostics.statistics import curves
from rnnlab.records import Curve


def measure_units(snapshot: Snapshot) -> Readings:
    """Measure `h_by_unit`, the magnitude of the gradient with respect to each unit of the output of a layer.

        B · |∂L/∂h[t][i, b]|        i: unit 1 … H, one curve per unit; statistics over the examples b

    Like the norm `h`, the values do not depend on the batch size. A recording has T · H rows per layer, so
    the measurement is part of no probe; add it with `+measurement=units`.
    """
    found: list[Curve] = []
    index = np.arange(1, snapshot.tape.cell.time + 1)
    for layer, part in snapshot.layers():
        cell, deltas = part.model.cell, part.deltas
        state = cell.output if cell.output in cell.states else cell.states[0]
        scale = np.asarray(deltas.log_scale + np.log(part.tape.cell.x.shape[-1]))
        for i in range(part.model.cell.state_sizes[state]):  # one by one, to save memory
            with np.errstate(divide="ignore"):
                logs = np.log(np.abs(deltas.total[state][:, i]), dtype=np.float64) + scale
            (curve,) = curves("timestep", index, {"h_by_unit": logs}, layer=layer.number)
            found.append(replace(curve, unit=i + 1))
    return Readings(found)
