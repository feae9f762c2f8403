"""Composition of configurations from Python arguments, with the checks and messages of the command line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlab.app.all_mistakes import CommandLine, all_mistakes
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.override_text import axis_text, is_collection, override_text
from rnnlab.app.config.suggestions import nearest
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.paths import conf_dir
from rnnlab.runs.run_json import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rnnlab.app.check import CheckedPlan

NETWORK_KEYS = (
    *("layers", "residual", "init", "initial_state", "dtype"),
    *("loss", "loss_reduction", "readout_bias"),
)
"""Configuration keys that determine a network, apart from its cell, sizes and seed."""
OTHER_NAMES = {"hidden_size": "hidden", "input_size": "inputs", "output_size": "outputs"}
"""Arguments of `network` for names that are used elsewhere."""


@contextmanager
def mistakes_as_value_errors() -> "Iterator[None]":
    """Raise ValueError instead of an exception of the command line, with the same message."""
    try:
        yield
    except (ConfigProblems, InvalidConfig) as error:
        text = str(error).replace("; --help lists all keys", "; docs/configuration.md lists all keys")
        raise ValueError(text) from None


def compose_network(
    cell: str | None,
    inputs: int,
    hidden: int | None,
    outputs: int,
    seed: int | None,
    overrides: Sequence[str],
    keys: Mapping[str, Any],
) -> tuple[str, str, dict[str, Any]]:
    """Return the name of a network, its cell, and a configuration with its keys.

    Raises:
        ValueError: If an argument is invalid.
    """
    problems = [_size_problem(name, size) for name, size in (("inputs", inputs), ("outputs", outputs))]
    problems += [_network_key_problem(key) for key in keys]
    for line in _override_list(overrides):
        key = line.partition("=")[0].lstrip("+~")
        if (problem := _network_key_problem(key)) or key == "cell":
            problems.append(f"overrides={line!r}: {problem or 'pass the cell as an argument'}")
    if found := [problem for problem in problems if problem]:
        raise ValueError("\n".join(found))
    if not isinstance(cell, str | None):
        raise ValueError(f"cell={cell!r}: must be the name of a cell")
    given = {"cell": cell, "hidden_size": hidden, "seed": seed}
    with mistakes_as_value_errors():
        lines = [override_text(key, value) for key, value in given.items() if value is not None]
        lines += [*(override_text(key, value) for key, value in keys.items()), *overrides]
        _refuse_contradictions(lines)
        with all_mistakes(CommandLine(lines, multirun=False)):
            [job] = compose_plan(conf_dir(), lines, multirun=False).jobs
    return job.name, job.choices["cell"], job.config


def overrides_of(
    task: str | None, keys: Mapping[str, Any], overrides: Sequence[str], is_sweep: bool
) -> list[str]:
    """Return the overrides of a command line, given the arguments of `train` or `sweep`.

    Raises:
        ValueError: If a value cannot be written as an override.
    """
    lines = _override_list(overrides)
    to_text = axis_text if is_sweep else override_text
    with mistakes_as_value_errors():
        if "hidden" in keys and "hidden_size" in keys:
            raise ValueError("hidden, hidden_size: are the same; pass one of them")
        named = {"hidden_size" if key == "hidden" else key: value for key, value in keys.items()}
        for name in ("inputs", "outputs"):
            if name in named:
                raise ValueError(f"{name}={named[name]!r}: follows from the task; must not be given")
        if task is not None:
            named = {"task": task} | named
        lists = {} if is_sweep else {key: value for key, value in named.items() if is_collection(value)}
        if lists:
            raise ValueError(
                "\n".join(
                    f"{key}={value!r}: must be one value; rnnlab.sweep takes lists"
                    for key, value in lists.items()
                )
            )
        found = [*(to_text(key, value) for key, value in named.items()), *lines]
        _refuse_contradictions(found)
        return found


def check_command(
    overrides: Sequence[str], is_sweep: bool, config_dir: str | Path | None = None
) -> "CheckedPlan":
    """Compose and check the runs of a command.

    Raises:
        ValueError: If the command is invalid; the message has one line per mistake.
    """
    from rnnlab.app.check import check

    folder = None if config_dir is None else str(config_dir)
    with mistakes_as_value_errors(), all_mistakes(CommandLine(list(overrides), is_sweep, folder)):
        return check(compose_plan(conf_dir(), overrides, is_sweep, folder))


def check_options(folder: Any, config_dir: Any, **flags: Any) -> None:
    """Raise ValueError unless the folders are paths or None and the flags are booleans."""
    for name, value in (("folder", folder), ("config_dir", config_dir)):
        if value is not None and (not isinstance(value, str | Path) or not str(value)):
            raise ValueError(f"{name}={value!r}: must be the path of a folder or None")
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r}: must be True or False")


def _refuse_contradictions(lines: Sequence[str]) -> None:
    """Raise ConfigProblems if a key is given both as an argument and in `overrides`."""
    counts = Counter(line.partition("=")[0] for line in lines)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ConfigProblems(f"{key}: given more than once; give it once" for key in twice)


def _keys_of_cells() -> set[str]:
    """Return the keys of all cells in `conf/`."""
    return {key for file in (conf_dir() / "cell").glob("*.yaml") for key in read_config(file)}


def _override_list(overrides: Any) -> list[str]:
    is_list = is_collection(overrides)
    if not is_list or not all(isinstance(line, str) and "=" in line for line in overrides):
        raise ValueError(
            f"overrides={overrides!r}: must be a list of strings of the form key=value, such as "
            "['cell.forget_bias=1']"
        )
    return list(overrides)


def _size_problem(name: str, size: Any) -> str | None:
    if isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1:
        return None
    return f"{name}={size!r}: must be an integer; allowed: 1 or more"


def _network_key_problem(key: str) -> str | None:
    if key.partition(".")[0] in (*NETWORK_KEYS, "cell"):
        return None
    if key in _keys_of_cells():  # often given without their group
        return f"{key}: a key of the cell; use overrides=['cell.{key}=VALUE']"
    allowed = ("cell", "inputs", "hidden", "outputs", "seed", *NETWORK_KEYS, "overrides")
    suggestion = OTHER_NAMES.get(key) or nearest(key, allowed)
    if suggestion in OTHER_NAMES.values() or (suggestion and suggestion != key):
        return f"{key}: no such argument of a network; did you mean {suggestion}?"
    return f"{key}: does not affect a network; allowed: {', '.join(allowed)}"
