"""What the jobs of a sweep have in common that differ in plain values alone, such as the seed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import AnyNode, DictConfig, ListConfig, Node, OmegaConf

from rnnlab.app.config.hydra_internals.private_api import (
    children,
    is_interpolation,
    is_missing,
    is_null,
    node_at,
)
from rnnlab.app.config.plan import Job

OF_JOB = re.compile(r"\$\{hydra\.job\.(num|id|name)\}")
"""What is known of each job without its configuration being changed."""


@dataclass(frozen=True)
class Template:
    """A composed job from which others are made by setting values.

    Attributes:
        config: Its configuration, which is changed where interpolations need it.
        choices: The chosen option of every group.
        plain: Its configuration as plain data; what no job changes is shared by all.
        subdir: `hydra.sweep.subdir` where it is made of the job's number and name alone, else None.
        interpolated: Keys of the first level that hold interpolations.
    """

    config: DictConfig
    choices: dict[str, str]
    plain: dict[str, Any]
    subdir: str | None
    interpolated: tuple[str, ...]

    @classmethod
    def of(
        cls,
        base: DictConfig,
        config: DictConfig,
        job: Job,
        overrides: Sequence[Override],
        changing: Sequence[Override],
    ) -> "Template | None":
        """What a job shares with those whose `changing` overrides have other values.

        Args:
            base: The configuration before any value was set.
            config: The job's own.
            job: The job.
            overrides: All of its overrides that set values.
            changing: Those whose values differ.

        Returns:
            None where it takes Hydra to know what another value does.
        """
        for override in changing:
            key = override.key_or_group
            touching = [
                o for o in overrides if _is_part(o.key_or_group, key) or _is_part(key, o.key_or_group)
            ]
            if len(touching) > 1 or not _is_leaf(base, key):
                return None
        raw = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        assert isinstance(raw, dict)
        subdir = str(raw["subdir"])
        is_simple = not re.search(r"[$\\]|\?\?\?", OF_JOB.sub("", subdir))
        own = [str(key) for key in config if key != "hydra"]
        interpolated = tuple(key for key in own if _has_interpolation(node_at(config, key)))
        return cls(config, job.choices, job.config, subdir if is_simple else None, interpolated)

    def filled(
        self, number: int, name: str, values: Mapping[str, Any], changed: Callable[[], DictConfig]
    ) -> tuple[str, dict[str, Any]]:
        """Another job's folder in the sweep's, and its configuration.

        Args:
            number: The job's number.
            name: The job's name as a folder has it.
            values: The values that it has of its own, by key.
            changed: Sets them in `config` and returns that.
        """
        plain = _with_values(self.plain, values)
        config = changed() if self.interpolated or self.subdir is None else None
        if config is not None:
            plain |= {key: plain_value(config, key) for key in self.interpolated}
            if self.subdir is None:
                return config.hydra.sweep.subdir, plain
        facts = {"num": str(number), "id": str(number), "name": name}
        return OF_JOB.sub(lambda found: facts[found[1]], self.subdir or ""), plain


def is_plain(override: Override) -> bool:
    """Whether an override does no more than to set a value that is neither a group nor an interpolation."""
    is_change = not (override.is_delete() or override.is_add())
    is_simple = is_change and override.package is None and not override.is_hydra_override()
    has_plain_key = re.fullmatch(r"\w+(\.\w+)*", override.key_or_group) is not None
    return is_simple and has_plain_key and _is_data(override.value())


def plain_value(config: DictConfig, key: Any) -> Any:
    """A key of the first level, resolved."""
    value = config[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _is_data(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_data, value))
    if isinstance(value, str):
        return "${" not in value and value != "???"
    return value is None or isinstance(value, bool | int | float)


def _is_leaf(config: DictConfig, key: str) -> bool:
    """Whether a key of the configuration holds a value or a list, for which another can simply be put."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or _is_special(node):
            return False
        node = node_at(node, part)
    return type(node) is AnyNode or (isinstance(node, ListConfig) and not _is_special(node))


def _is_special(node: Node) -> bool:
    return is_null(node) or is_missing(node) or is_interpolation(node)


def _is_part(key: str, of: str) -> bool:
    """Whether a key is another one or leads to it."""
    return f"{of}.".startswith(f"{key}.")


def _has_interpolation(node: Any) -> bool:
    """Whether a node or one below it is an interpolation."""
    assert isinstance(node, Node)
    if is_interpolation(node):
        return True
    if not isinstance(node, DictConfig | ListConfig) or _is_special(node):
        return False
    return any(_has_interpolation(inner) for _, inner in children(node))


def _with_values(tree: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with other values; what is not on their way is shared."""
    copied = dict(tree)
    for key, value in values.items():
        *path, last = key.split(".")
        node, shared = copied, tree
        for part in path:
            shared = shared[part]
            if node[part] is shared:
                node[part] = dict(shared)
            node = node[part]
        node[last] = value
    return copied
