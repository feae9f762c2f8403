"""Choice of the engine that runs the loops over time.

The NumPy engine is the reference and always available. The compiled engine, which requires Numba, runs the
same equations several times as fast.
"""

from typing import Literal, get_args

from rnnlab.cells import Cell, GatedCell, layers_of
from rnnlab.workspace import Loops

Engine = Literal["numpy", "compiled"]
ENGINES = get_args(Engine)
RequestedEngine = Literal["auto", "numpy", "compiled"]
INSTALL = "pip install numba"


def obstacle(cell: Cell) -> str | None:
    """Return the reason why the compiled engine cannot run a cell, or None if it can."""
    for layer in layers_of(cell):
        if not isinstance(layer.cell, GatedCell):
            return f"{type(layer.cell).__name__} gives single time steps, which are not compiled"
    try:
        import numba  # noqa: F401
    except ImportError as error:  # missing, or not made for this version of Python or NumPy
        return f"Numba cannot be imported ({error}); install it with {INSTALL}"
    return None


def choose_engine(requested: RequestedEngine, cell: Cell) -> Engine:
    """Return the engine for a cell; `auto` selects the compiled engine if nothing prevents it."""
    if requested == "auto":
        return "numpy" if obstacle(cell) else "compiled"
    return requested


def loops_of(engine: Engine) -> Loops | None:
    """Return the compiled loops, or None for the NumPy engine."""
    if engine == "numpy":
        return None
    from rnnlab.engine.compiled.loops import CompiledLoops

    return CompiledLoops()
