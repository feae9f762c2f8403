import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@pytest.fixture
def ax() -> Axes:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)  # otherwise drawing the canvas draws nothing
    return figure.subplots()


@pytest.fixture
def gradients() -> pd.DataFrame:
    """Three recordings of `h` and `state`: by time step 1 … 4, where `h` has no value at the last step,
    and by lag 0 … 3, where no lag 3 has one."""
    rows = []
    for step in (0, 1, 100):
        for quantity, level in (("h", 0.0), ("state", 1.0)):
            for i in range(4):
                time = -float(i) - step / 10 + level
                rows.append((step, quantity, i + 1, None, np.nan if i == 3 and quantity == "h" else time))
                rows.append((step, quantity, None, i, np.nan if i == 3 else -2.0 * i - step + level))
    frame = pd.DataFrame(rows, columns=["step", "quantity", "timestep", "lag", "log10_gmean"])
    return frame.astype({"timestep": "Int64", "lag": "Int64", "quantity": "category"})
