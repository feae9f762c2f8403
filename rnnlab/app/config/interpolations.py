"""Interpolations (`${…}`) that cannot be resolved: the key, the file and the reason."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import Node
from omegaconf.errors import OmegaConfBaseException

from rnnlab.app.config.loader import Loader

OF_HYDRA = ("run", "sweep", "sweeper", "launcher", "mode")
"""What is read of Hydra's own node; the rest is left as it is."""
REFERENCE = re.compile(r"\$\{\s*([\w.]+)\s*\}")
REASONS = {
    r"Interpolation key '(.*?)' not found": r"there is no key \1",
    r"(?:.*: )?Missing mandatory value: (\S+)": r"\1 has no value",
    r"(?:.*: )?HydraConfig was not set": "Hydra's own keys are written ${hydra.…}, with a point",
    r".*(Environment variable '.*' not found).*": r"\1",
    r"(Unsupported interpolation type \S+)": r"\1",
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
        refers = any(name in broken for name in REFERENCE.findall(str(node._value())))
        if (cycle and key == min(cycle, key=list(broken).index)) or not (cycle or refers):
            value = node._value()
            file = "" if key in lines else _file_of(loader, config, key, value)
            shown = lines.get(key, f"{key}={value}") + (f" in {file}" if file else "")
            told = f"refers to itself ({' → '.join([*cycle, key])})" if cycle else _reason(node)
            problems.append(f"{shown}: {told}")
    return problems


def _interpolated(config: DictConfig) -> Iterator[tuple[str, Node]]:
    """Every node that is an interpolation, with its key."""
    for name in config:
        if name != "hydra":
            yield from _below(str(name), config._get_node(name))
    for name in OF_HYDRA:
        for key, node in _below(f"hydra.{name}", config.hydra._get_node(name)):
            is_of_job = key == "hydra.sweep.subdir"  # which only a job's own configuration can fill in
            if not (is_of_job and OmegaConf.is_missing(config.hydra.job, "num")):
                yield key, node


def _below(key: str, node: Any) -> Iterator[tuple[str, Node]]:
    if not isinstance(node, Node) or node._is_none() or node._is_missing():
        return
    if node._is_interpolation():
        yield key, node
    elif isinstance(node, DictConfig | ListConfig):
        content: Any = node._content
        for name, inner in content.items() if isinstance(node, DictConfig) else enumerate(content):
            yield from _below(f"{key}.{name}", inner)


def _reason(node: Node) -> str | None:
    """Why an interpolation cannot be resolved, or None if it can."""
    try:
        value = node._dereference_node()
        if isinstance(value, DictConfig | ListConfig):
            OmegaConf.to_container(value, resolve=True)
    except RecursionError:
        return "refers to itself"
    except OmegaConfBaseException as error:
        message = str(error).partition("\n    full_key")[0].strip().strip('"')
        for said, told in REASONS.items():
            if found := re.fullmatch(said, message.strip(), re.DOTALL):
                return found.expand(told)
        why = " ".join(message.rpartition("while resolving interpolation: ")[2].split())
        return f"cannot be resolved ({why})"
    return None


def _cycle(key: str, broken: Mapping[str, Node]) -> list[str]:
    """The keys through which one refers to itself, from itself on; empty if it does not."""
    path, at = [key], key
    while True:
        following = [name for name in REFERENCE.findall(str(broken[at]._value())) if name in broken]
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
