"""Additional commands of rnnlab, available as `rnnlab NAME` and `python -m rnnlab.NAME`."""

from collections.abc import Callable, Sequence
from importlib import import_module

MODULES = {
    **{name: f"rnnlab.commands.{name}" for name in ("ui", "show", "compare", "report", "sync", "repeat")},
    "gradcheck": "rnnlab.gradcheck.__main__",
}
"""Module of each command; the help text in `conf/config.yaml` describes the commands."""


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """Import a command on demand, because some commands load slowly, and return its `main`.

    Raises:
        KeyError: If no such command exists.
    """
    main: Callable[[Sequence[str]], int] = import_module(MODULES[name]).main
    return main
