from .analysis import CELL_COLORS as CELL_COLORS
from .analysis import IncompleteRuns as IncompleteRuns
from .analysis import MLflowRuns as MLflowRuns
from .analysis import draw_clipping as draw_clipping
from .analysis import draw_gain as draw_gain
from .analysis import draw_horizon as draw_horizon
from .analysis import draw_lag_curves as draw_lag_curves
from .analysis import draw_layer_curves as draw_layer_curves
from .analysis import draw_layer_heatmap as draw_layer_heatmap
from .analysis import draw_losses as draw_losses
from .analysis import draw_phase_diagram as draw_phase_diagram
from .analysis import draw_solved as draw_solved
from .analysis import draw_time_heatmap as draw_time_heatmap
from .analysis import draw_unit_heatmap as draw_unit_heatmap
from .analysis import load_gradients as load_gradients
from .analysis import load_metrics as load_metrics
from .analysis import load_runs as load_runs
from .library.curves import LagCurve as LagCurve
from .library.networks import Network as Network
from .library.networks import network as network
from .library.runs import Run as Run
from .library.runs import load_run as load_run
from .library.runs import train as train
from .library.sweeps import Sweep as Sweep
from .library.sweeps import load_sweep as load_sweep
from .library.sweeps import sweep as sweep

__version__: str
