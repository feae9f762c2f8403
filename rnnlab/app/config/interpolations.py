"""Messages about interpolations (`${…}`) that cannot be resolved, with key, file and reason."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.app.config.hydra_internals.private_api import (
    children,
    dereference,
    is_interpolation,
    is_missing,
    is_null,
    node_at,
    raw_value,
)
from rnnlab.app.config.loader import Loader

HYDRA_KEYS = ("run", "sweep", "sweeper", "launcher", "mode")
"""Keys under `hydra` that rnnlab reads; interpolations under other keys of `hydra` are not resolved."""
REFERENCE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
REASONS = {
    Phrase.NO_KEY_REFERENCED: r"refers to the unknown key \1",
    Phrase.MISSING_VALUE: r"refers to \1, which has no value",
    Phrase.HYDRA_NOT_SET: "write Hydra's own keys with a dot, as in ${hydra.…}",
    Phrase.NO_ENVIRONMENT_VARIABLE: r"\1",
    Phrase.NO_SUCH_RESOLVER: r"\1",
}
"""Messages that replace OmegaConf's error messages about interpolations."""


class InterpolationProblems(Exception):
    """Exception that lists the interpolations that cannot be resolved, one per line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@contextmanager
def explain_interpolation_errors(
    loader: Loader, config: DictConfig, overrides: Sequence[str]
) -> Iterator[None]:
    """Convert interpolation errors raised in the `with` block to one exception with keys, values and reasons.

    Args:
        loader: Loader that composed the configuration.
        config: Composed configuration.
        overrides: Command-line overrides of the configuration.

    Raises:
        InterpolationProblems: If an interpolation cannot be resolved; the exception has one line per
            unresolved interpolation.
    """
    try:
        yield
    except (OmegaConfBaseException, RecursionError) as error:
        if problems := broken_interpolations(loader, config, overrides):
            raise InterpolationProblems(problems) from error
        raise


def broken_interpolations(loader: Loader, config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """Return one message per broken interpolation that does not merely refer to another broken one."""
    parts = (override.partition("=") for override in overrides)
    lines = {key.lstrip("+"): f"{key}={_unescape(value)}" for key, _, value in parts}
    literal_keys = [key for key, line in lines.items() if "${" not in line]
    broken_nodes = {
        key: node for key, node in _interpolations(config) if key not in literal_keys and _reason(node)
    }
    problems = []
    for key, node in broken_nodes.items():
        cycle = _cycle(key, broken_nodes)
        is_consequence = any(name in broken_nodes for name in REFERENCE.findall(str(raw_value(node))))
        if (cycle and key == min(cycle, key=list(broken_nodes).index)) or not (cycle or is_consequence):
            value = raw_value(node)
            file = "" if key in lines else _file_of(loader, config, key, value)
            source = lines.get(key, f"{key}={value}") + (f" in {file}" if file else "")
            reason = f"refers to itself ({' → '.join([*cycle, key])})" if cycle else _reason(node)
            problems.append(f"{source}: {reason}")
    return problems


def _unescape(value: str) -> str:
    """Return an interpolation without the backslashes that Hydra adds to the values of a sweep's jobs."""
    return re.sub(r"\\([{}:])", r"\1", value) if r"$\{" in value else value


def _interpolations(config: DictConfig) -> Iterator[tuple[str, Node]]:
    """Yield the key and node of every interpolation."""
    for name in config:
        if name != "hydra":
            yield from _interpolations_below(str(name), node_at(config, name))
    for name in HYDRA_KEYS:
        for key, node in _interpolations_below(f"hydra.{name}", node_at(config.hydra, name)):
            needs_job = key == "hydra.sweep.subdir"  # resolved only in the configuration of a job
            if not (needs_job and OmegaConf.is_missing(config.hydra.job, "num")):
                yield key, node


def _interpolations_below(key: str, node: Any) -> Iterator[tuple[str, Node]]:
    if not isinstance(node, Node) or is_null(node) or is_missing(node):
        return
    if is_interpolation(node):
        yield key, node
    elif isinstance(node, DictConfig | ListConfig):
        for name, inner in children(node):
            yield from _interpolations_below(f"{key}.{name}", inner)


def _reason(node: Node) -> str | None:
    """Return the reason why an interpolation cannot be resolved, or None if it can be resolved."""
    try:
        value = dereference(node)
        if isinstance(value, DictConfig | ListConfig):
            OmegaConf.to_container(value, resolve=True)
    except RecursionError:
        return "refers to itself"
    except OmegaConfBaseException as error:
        message = Phrase.LOCATION.remove_from(str(error)).strip().strip('"')
        for phrase, template in REASONS.items():
            if match := phrase.find(message.strip()):
                return match.expand(template)
        reason = " ".join(Phrase.WHILE_RESOLVING.remove_from(message).split())
        return f"cannot be resolved ({reason})"
    return None


def _cycle(key: str, broken_nodes: Mapping[str, Node]) -> list[str]:
    """Return the cycle of keys through which a key refers to itself, or an empty list if none exists."""
    path, current = [key], key
    while True:
        targets = [
            name for name in REFERENCE.findall(str(raw_value(broken_nodes[current]))) if name in broken_nodes
        ]
        if not targets:
            return []
        current = next((name for name in targets if name == key), targets[0])
        if current == key:
            return path
        if current in path:
            return []
        path.append(current)


def _file_of(loader: Loader, config: DictConfig, key: str, value: Any) -> str | None:
    """Return the name of the chosen configuration file that sets a key to a given value, or None."""
    choices = config.hydra.runtime.choices.items()
    names = [f"{group}/{option}" for group, option in reversed(list(choices)) if option and "@" not in group]
    for name in [*names, "config"]:
        result = loader.repository.load_config(name)
        if result is None:
            continue
        package = result.header.get("package") or name.rpartition("/")[0].replace("/", ".")
        parts = key.split(".")
        if package not in ("", "_global_"):
            prefix = package.split(".")
            if parts[: len(prefix)] != prefix:
                continue
            parts = parts[len(prefix) :]
        node: Any = OmegaConf.to_container(result.config, resolve=False)
        for part in parts:
            if isinstance(node, list):
                node = {str(number): inner for number, inner in enumerate(node)}
            node = node.get(part) if isinstance(node, dict) else None
        if node == value:
            return f"{name}.yaml"
    return None
