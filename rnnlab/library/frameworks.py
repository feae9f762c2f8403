"""Frameworks that are optional and imported when a function needs them."""

from importlib import import_module
from typing import Any


def installed(name: str) -> Any:
    """Return an installed framework, `torch` or `jax`.

    Raises:
        ImportError: If the framework is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        problem = f"rnnlab.{name}: {name} is not installed; install it with: pip install {name}"
        raise ImportError(problem, name=name) from None
