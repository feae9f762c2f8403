"""Public wrappers for private functions and classes of Hydra and OmegaConf.

Only this module imports `hydra._internal` or uses attributes of Hydra or OmegaConf that begin with an
underscore.
"""

import copy
import os
from argparse import ArgumentParser
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, ValueType
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext
from omegaconf import DictConfig, ListConfig, Node

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
"""Values of `_target_` that select Hydra's built-in launcher and sweeper."""


def command_line_parser() -> ArgumentParser:
    """Return Hydra's command-line parser, which collects all arguments that are not flags in `overrides`."""
    return get_args_parser()


def search_path_of(folder: Path) -> ConfigSearchPath:
    """Return a search path that contains Hydra's own options, the given folder and the options of plugins."""
    return create_config_search_path(str(folder))


def context_of(loader: ConfigLoader) -> HydraContext:
    """Return a context object, without callbacks, for Hydra's sweepers."""
    return HydraContext(config_loader=loader, callbacks=Callbacks())


def override_dirname(overrides: Sequence[Override], settings: DictConfig) -> str:
    """Return `hydra.job.override_dirname`.

    Args:
        overrides: Overrides of keys outside the `hydra` node.
        settings: Value of `hydra.job.config.override_dirname`.
    """
    return get_overrides_dirname(
        list(overrides), settings.exclude_keys, item_sep=settings.item_sep, kv_sep=settings.kv_sep
    )


def override_with_number(sweep: Override, number: int | float, line: str) -> Override:
    """Create the override for one number on a sweep axis directly, instead of parsing the override text.

    Args:
        sweep: Override that contains all values of the axis.
        number: Value to set.
        line: Override as text.
    """
    return Override(
        type=sweep.type,
        key_or_group=sweep.key_or_group,
        value_type=ValueType.ELEMENT,
        _value=number,
        package=sweep.package,
        input_line=line,
        config_loader=sweep.config_loader,
    )


class FileReader(ConfigRepository):
    """Hydra's reader of option files; subclasses override `load_config`.

    A process composes many configurations of the same files. Parsing a file takes seven times as long as
    copying the result, so the result is kept until the file changes.
    """

    MAX_RESULTS: ClassVar[int] = 500
    _results: ClassVar[dict[Hashable, ConfigResult | None]] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Return the content of an option file, or None if there is no such file."""
        key = self._key(config_path)
        if key is None:
            return super().load_config(config_path)
        if key not in self._results:
            if len(self._results) == self.MAX_RESULTS:
                self._results.clear()
            self._results[key] = super().load_config(config_path)
        return copy.deepcopy(self._results[key])

    def _key(self, config_path: str) -> Hashable:
        """Return a key that changes with the content of an option file; None if the file is missing."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None:
            return None
        state: tuple[int, ...] = ()
        if source.scheme() == "file":  # all others are parts of installed packages
            try:
                found = os.stat(os.path.join(source.path, source._normalize_file_name(config_path)))
            except OSError:
                return None
            state = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
        return source.scheme(), source.path, config_path, state


class HydraLoader(ConfigLoaderImpl):
    """Hydra's configuration loader, with a custom file reader and a check of `hydra.searchpath`."""

    def __init__(self, search_path: ConfigSearchPath, reader: FileReader) -> None:
        super().__init__(search_path)
        self.repository = reader

    def set_values(self, config: DictConfig, overrides: Sequence[Override]) -> None:
        """Apply overrides that set, add or delete values but do not choose configuration files."""
        self._apply_overrides_to_config(list(overrides), config)

    def check_search_path(self, primary: Any, overrides: Sequence[Override]) -> None:
        """Check the value of `hydra.searchpath` before Hydra uses the value.

        Args:
            primary: Content of the primary configuration file, or None.
            overrides: Overrides given on the command line.
        """

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        primary = repo.load_config(config_path=config_name) if config_name else None
        self.check_search_path(None if primary is None else primary.config, parsed_overrides)
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


class HydraWithoutLogging(Hydra):
    """Hydra without its logging setup, because a logging configuration could call functions or open files."""

    def compose_config(self, *args: Any, with_log_configuration: bool = False, **keys: Any) -> DictConfig:
        """Compose a configuration without configuring logging."""
        return super().compose_config(*args, **keys)


def node_at(config: DictConfig, key: Any) -> Any:
    """Return the unresolved node of a key, or None if the key is missing."""
    return config._get_node(key)


def children(node: DictConfig | ListConfig) -> Iterator[tuple[Any, Node]]:
    """Yield the key (or index) and the unresolved node of each direct child of a node."""
    keys: Iterable[Any] = node.keys() if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        child = node._get_node(key)
        assert isinstance(child, Node)
        yield key, child


def is_null(node: Node) -> bool:
    """Return True if the value of a node is null."""
    return node._is_none()


def is_missing(node: Node) -> bool:
    """Return True if the value of a node is `???`."""
    return node._is_missing()


def is_interpolation(node: Node) -> bool:
    """Return True if the value of a node is an interpolation, `${…}`."""
    return node._is_interpolation()


def raw_value(node: Node) -> Any:
    """Return the value of a node without resolving interpolations."""
    return node._value()


def dereference(node: Node) -> Node | None:
    """Return the node to which an interpolation refers.

    Raises:
        OmegaConfBaseException: If the interpolation cannot be resolved.
    """
    return node._dereference_node()
