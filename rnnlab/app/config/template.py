"""Fast composition of sweep jobs that differ only in literal values, such as the seed."""

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

JOB_REFERENCE = re.compile(r"\$\{hydra\.job\.(num|id|name)\}")
"""Pattern that matches `${hydra.job.num}` and other interpolations resolved without composing the job."""


@dataclass(frozen=True)
class Template:
    """Composed configuration of one job, from which the configurations of similar jobs are derived.

    Attributes:
        config: Configuration of the job; `fill` modifies the configuration only to resolve interpolations.
        choices: Chosen option of each configuration group.
        plain: Configuration as built-in Python objects; all jobs share the parts that do not vary.
        subdir: `hydra.sweep.subdir` if it depends only on the number and name of the job, else None.
        interpolated_keys: Top-level keys that contain interpolations.
    """

    config: DictConfig
    choices: dict[str, str]
    plain: dict[str, Any]
    subdir: str | None
    interpolated_keys: tuple[str, ...]

    @classmethod
    def from_job(
        cls,
        base: DictConfig,
        config: DictConfig,
        job: Job,
        overrides: Sequence[Override],
        varying_overrides: Sequence[Override],
    ) -> "Template | None":
        """Return a template, made from one job, for all jobs that differ only in `varying_overrides`.

        Args:
            base: Configuration before the overrides that set values are applied.
            config: Configuration of the job.
            job: Composed job.
            overrides: The job's overrides that set values rather than choose options.
            varying_overrides: Overrides whose values differ between jobs.

        Returns:
            The template, or None if other values require Hydra to compose the configuration again.
        """
        for override in varying_overrides:
            key = override.key_or_group
            related = [
                o for o in overrides if _is_prefix(o.key_or_group, key) or _is_prefix(key, o.key_or_group)
            ]
            if len(related) > 1 or not _is_leaf(base, key):
                return None
        raw = OmegaConf.to_container(config.hydra.sweep, resolve=False)
        assert isinstance(raw, dict)
        subdir = str(raw["subdir"])
        is_simple = not re.search(r"[$\\]|\?\?\?", JOB_REFERENCE.sub("", subdir))
        keys = [str(key) for key in config if key != "hydra"]
        interpolated_keys = tuple(key for key in keys if _has_interpolation(node_at(config, key)))
        return cls(config, job.choices, job.config, subdir if is_simple else None, interpolated_keys)

    def fill(
        self, number: int, name: str, values: Mapping[str, Any], apply_values: Callable[[], DictConfig]
    ) -> tuple[str, dict[str, Any]]:
        """Return the run folder, relative to the sweep folder, and the configuration of another job.

        Args:
            number: Number of the job.
            name: Name of the job, in the format used for folder names.
            values: Values specific to the job, by key.
            apply_values: Function that sets the values in `config` and returns `config`.
        """
        plain = _with_values(self.plain, values)
        config = apply_values() if self.interpolated_keys or self.subdir is None else None
        if config is not None:
            plain |= {key: plain_value(config, key) for key in self.interpolated_keys}
            if self.subdir is None:
                return config.hydra.sweep.subdir, plain
        properties = {"num": str(number), "id": str(number), "name": name}
        return JOB_REFERENCE.sub(lambda match: properties[match[1]], self.subdir or ""), plain


def is_plain(override: Override) -> bool:
    """Return True if an override sets an existing key to a literal value or a list of literal values."""
    is_change = not (override.is_delete() or override.is_add())
    is_simple = is_change and override.package is None and not override.is_hydra_override()
    has_plain_key = re.fullmatch(r"\w+(\.\w+)*", override.key_or_group) is not None
    return is_simple and has_plain_key and _is_data(override.value())


def plain_value(config: DictConfig, key: Any) -> Any:
    """Return the resolved value of a top-level key."""
    value = config[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _is_data(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_data, value))
    if isinstance(value, str):
        return "${" not in value and value != "???"
    return value is None or isinstance(value, bool | int | float)


def _is_leaf(config: DictConfig, key: str) -> bool:
    """Return True if the value of a key is a literal or a list, which can be replaced directly."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, DictConfig) or _is_special(node):
            return False
        node = node_at(node, part)
    return type(node) is AnyNode or (isinstance(node, ListConfig) and not _is_special(node))


def _is_special(node: Node) -> bool:
    return is_null(node) or is_missing(node) or is_interpolation(node)


def _is_prefix(prefix: str, key: str) -> bool:
    """Return True if `prefix` is `key` or a parent of `key`."""
    return f"{key}.".startswith(f"{prefix}.")


def _has_interpolation(node: Any) -> bool:
    """Return True if a node or any of its descendants is an interpolation."""
    assert isinstance(node, Node)
    if is_interpolation(node):
        return True
    if not isinstance(node, DictConfig | ListConfig) or _is_special(node):
        return False
    return any(_has_interpolation(inner) for _, inner in children(node))


def _with_values(tree: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a nested dict with new values; unchanged inner dicts are shared with the original."""
    new_tree = dict(tree)
    for key, value in values.items():
        *path, last = key.split(".")
        node, shared_node = new_tree, tree
        for part in path:
            shared_node = shared_node[part]
            if node[part] is shared_node:
                node[part] = dict(shared_node)
            node = node[part]
        node[last] = value
    return new_tree
