"""The commands beside `python -m rnnlab key=value`: each is `rnnlab NAME` and `python -m rnnlab.NAME`."""

from collections.abc import Callable, Sequence
from importlib import import_module

MODULES = {
    **{name: f"rnnlab.commands.{name}" for name in ("ui", "show", "compare", "report", "sync", "repeat")},
    "gradcheck": "rnnlab.gradcheck.__main__",
}
"""Where each command is; `conf/config.yaml` describes them in the help."""


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """Import a command, late because some take seconds, and return its `main`.

    Raises:
        KeyError: There is no such command.
    """
    main: Callable[[Sequence[str]], int] = import_module(MODULES[name]).main
    return main
