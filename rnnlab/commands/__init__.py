"""Additional rnnlab commands, available as `rnnlab NAME` and `python -m rnnlab.NAME`."""

from collections.abc import Callable, Sequence
from importlib import import_module

MODULES = {
    **{
        name: f"rnnlab.commands.{name}"
        for name in ("ui", "show", "compare", "report", "sync", "repeat", "measure")
    },
    "gradcheck": "rnnlab.gradcheck.__main__",
}
"""Module of each command. The help text in `conf/config.yaml` describes the commands."""


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """Import the module of a command and return the module's function `main`.

    Raises:
        KeyError: If no command has this name.
    """
    # Modules are imported on demand because some of them load slowly.
    main: Callable[[Sequence[str]], int] = import_module(MODULES[name]).main
    return main
