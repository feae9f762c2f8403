"""Interpolations (`${…}`) that cannot be resolved: the key, the file and the reason."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.app.config.hydra_internals.private_api import (
    children,
    dereferenced,
    is_interpolation,
    is_missing,
    is_null,
    node_at,
    raw_value,
)
from rnnlab.app.config.loader import Loader

OF_HYDRA = ("run", "sweep", "sweeper", "launcher", "mode")
"""What is read of Hydra's own node; the rest is left as it is."""
REFERENCE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
REASONS = {
    Phrase.NO_KEY_REFERENCED: r"there is no key \1",
    Phrase.MISSING_VALUE: r"\1 has no value",
    Phrase.HYDRA_NOT_SET: "Hydra's own keys are written ${hydra.…}, with a point",
    Phrase.NO_ENVIRONMENT_VARIABLE: r"\1",
    Phrase.NO_SUCH_RESOLVER: r"\1",
}
"""What OmegaConf says of an interpolation, and what is said here."""


class Unresolved(Exception):
    """Interpolations that cannot be resolved, with a line for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@contextmanager
def resolved(loader: Loader, config: DictConfig, overrides: Sequence[str]) -> Iterator[None]:
    """Where a configuration is resolved: what fails in there is told by key, value and reason.

    Args:
        loader: Which knows the files that the configuration was composed from.
        config: As composed.
        overrides: The command line's part of it.

    Raises:
        Unresolved: With a line for each interpolation that cannot be resolved.
    """
    try:
        yield
    except (OmegaConfBaseException, RecursionError) as error:
        if problems := broken_interpolations(loader, config, overrides):
            raise Unresolved(problems) from error
        raise


def broken_interpolations(loader: Loader, config: DictConfig, overrides: Sequence[str]) -> list[str]:
    """A line for each interpolation that cannot be resolved, and not only because another one cannot."""
    lines = {key.lstrip("+"): f"{key}={value}" for key, _, value in (o.partition("=") for o in overrides)}
    fixed = [key for key, line in lines.items() if "${" not in line]
    broken = {key: node for key, node in _interpolated(config) if key not in fixed and _reason(node)}
    problems = []
    for key, node in broken.items():
        cycle = _cycle(key, broken)
        refers = any(name in broken for name in REFERENCE.findall(str(raw_value(node))))
        if (cycle and key == min(cycle, key=list(broken).index)) or not (cycle or refers):
            value = raw_value(node)
            file = "" if key in lines else _file_of(loader, config, key, value)
            shown = lines.get(key, f"{key}={value}") + (f" in {file}" if file else "")
            told = f"refers to itself ({' → '.join([*cycle, key])})" if cycle else _reason(node)
            problems.append(f"{shown}: {told}")
    return problems


def _interpolated(config: DictConfig) -> Iterator[tuple[str, Node]]:
    """Every node that is an interpolation, with its key."""
    for name in config:
        if name != "hydra":
            yield from _below(str(name), node_at(config, name))
    for name in OF_HYDRA:
        for key, node in _below(f"hydra.{name}", node_at(config.hydra, name)):
            is_of_job = key == "hydra.sweep.subdir"  # which only a job's own configuration can fill in
            if not (is_of_job and OmegaConf.is_missing(config.hydra.job, "num")):
                yield key, node


def _below(key: str, node: Any) -> Iterator[tuple[str, Node]]:
    if not isinstance(node, Node) or is_null(node) or is_missing(node):
        return
    if is_interpolation(node):
        yield key, node
    elif isinstance(node, DictConfig | ListConfig):
        for name, inner in children(node):
            yield from _below(f"{key}.{name}", inner)


def _reason(node: Node) -> str | None:
    """Why an interpolation cannot be resolved, or None if it can."""
    try:
        value = dereferenced(node)
        if isinstance(value, DictConfig | ListConfig):
            OmegaConf.to_container(value, resolve=True)
    except RecursionError:
        return "refers to itself"
    except OmegaConfBaseException as error:
        message = Phrase.PLACE.without(str(error)).strip().strip('"')
        for phrase, told in REASONS.items():
            if found := phrase.find(message.strip()):
                return found.expand(told)
        why = " ".join(Phrase.WHILE_RESOLVING.without(message).split())
        return f"cannot be resolved ({why})"
    return None


def _cycle(key: str, broken: Mapping[str, Node]) -> list[str]:
    """The keys through which one refers to itself, from itself on; empty if it does not."""
    path, at = [key], key
    while True:
        following = [name for name in REFERENCE.findall(str(raw_value(broken[at]))) if name in broken]
        if not following:
            return []
        at = next((name for name in following if name == key), following[0])
        if at == key:
            return path
        if at in path:
            return []
        path.append(at)


def _file_of(loader: Loader, config: DictConfig, key: str, value: Any) -> str | None:
    """The chosen file that gives a key this value, if one does."""
    chosen = config.hydra.runtime.choices.items()
    names = [f"{group}/{option}" for group, option in reversed(list(chosen)) if option and "@" not in group]
    for name in [*names, "config"]:
        found = loader.repository.load_config(name)
        if found is None:
            continue
        package = found.header.get("package") or name.rpartition("/")[0].replace("/", ".")
        parts = key.split(".")
        if package not in ("", "_global_"):
            above = package.split(".")
            if parts[: len(above)] != above:
                continue
            parts = parts[len(above) :]
        node: Any = OmegaConf.to_container(found.config, resolve=False)
        for part in parts:
            if isinstance(node, list):
                node = {str(number): inner for number, inner in enumerate(node)}
            node = node.get(part) if isinstance(node, dict) else None
        if node == value:
            return f"{name}.yaml"
    return None
