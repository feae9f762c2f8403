"""Configuration loader that prevents Hydra from importing modules or calling functions named by the user."""

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError
from yaml import YAMLError

from rnnlab.app.config.hydra_internals.private_api import (
    BASIC_LAUNCHER,
    BASIC_SWEEPER,
    FileReader,
    HydraLoader,
)
from rnnlab.app.config.messages import SUPPORTED, ConfigProblems
from rnnlab.paths import is_folder

HYDRA_TARGETS = (
    BASIC_LAUNCHER,
    BASIC_SWEEPER,
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    *(f"optuna.samplers.{name}Sampler" for name in ("TPE", "Random", "CmaEs", "NSGAII", "MOTPE", "Grid")),
)
"""Values of `_target_` that Hydra and its Optuna sweeper set under `hydra`."""


class _OptionReader(FileReader):
    """Option-file reader that names the file in each error message."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Read an option file.

        Raises:
            ConfigProblems: If the file is not a valid option file.
        """
        name = f"{config_path.removesuffix('.yaml')}.yaml"
        try:
            result = super().load_config(config_path)
        except YAMLError as error:
            reason = " ".join(str(error).split())
            raise ConfigProblems([f"{name}: cannot be read ({reason})"]) from error
        except UnicodeDecodeError as error:
            raise ConfigProblems(
                [f"{name}: not UTF-8 text ({error.reason} at byte {error.start})"]
            ) from error
        except RecursionError as error:
            raise ConfigProblems([f"{name}: cannot be read (the content refers to itself)"]) from error
        except GrammarParseError as error:
            key = getattr(error, "full_key", None)
            raise ConfigProblems([f"{name}: {key}: interpolation cannot be parsed"]) from error
        if result is not None and not isinstance(result.config, DictConfig):
            raise ConfigProblems([f"{name}: must contain lines of the form key: value"])
        if name.startswith("experiment/") and result and result.header.get("package") != "_global_":
            raise ConfigProblems([f"{name}: must begin with the line # @package _global_"])
        return result


class Loader(HydraLoader):
    """Hydra's configuration loader, restricted for use with untrusted configurations."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path, _OptionReader(config_search_path))
        self._group_flags: dict[str, bool] = {}

    def load_configuration(self, *args: Any, **keys: Any) -> DictConfig:
        """Compose a configuration.

        Raises:
            ConfigProblems: If the configuration contains callbacks, an option with a slash in its name, or a
                search path that names a package, which Hydra would import.
        """
        config = super().load_configuration(*args, **keys)
        if names := list(config.hydra.callbacks):
            raise ConfigProblems(f"hydra.callbacks.{name}: not supported" for name in names)
        choices = config.hydra.runtime.choices
        if paths := [f"{group}={name}" for group, name in choices.items() if "/" in str(name)]:
            raise ConfigProblems(f"{path}: must be a name without /" for path in paths)
        return config

    def names_file(self, override: Override) -> bool:
        """Return True if an override chooses an option of a group or sets the search path."""
        if override.get_key_element().lstrip("+~") == "hydra.searchpath":
            return True
        key = override.key_or_group
        if key not in self._group_flags:
            self._group_flags[key] = self.repository.group_exists(key)
        return self._group_flags[key] and not isinstance(override.value(), dict)

    def check_search_path(self, primary: Any, overrides: Sequence[Override]) -> None:
        """Raise ConfigProblems unless every search path is a folder.

        Hydra would import a package named in a search path.
        """
        search_paths: list[Any] = [o.value() for o in overrides if o.get_key_element() == "hydra.searchpath"]
        if primary is not None:
            search_paths.append(OmegaConf.select(primary, "hydra.searchpath"))
        for search_path in search_paths:
            if isinstance(search_path, str | int | float):
                raise ConfigProblems([f"hydra.searchpath={search_path}: must be a list, as in [a,b]"])
        for path in (str(path) for search_path in search_paths for path in search_path or ()):
            if "://" in path and not path.startswith("file://"):
                raise ConfigProblems([f"hydra.searchpath={path}: must be a folder"])
            if not is_folder(path.removeprefix("file://")):
                raise ConfigProblems([f"hydra.searchpath={path}: no such folder"])


def check_plugin(config: DictConfig, kind: str) -> None:
    """Check that the configuration of a sweeper or launcher names only Hydra's own classes.

    Objects other than the sweeper and launcher are checked and constructed by rnnlab instead of Hydra.

    Args:
        config: Configuration with Hydra's node.
        kind: Key of the sweeper or launcher in the `hydra` node.

    Raises:
        ConfigProblems: If the configuration names a class that is not one of Hydra's own.
    """
    node = config.hydra[kind]
    if not isinstance(node, DictConfig):
        raise ConfigProblems(
            [f"hydra.{kind}={'null' if node is None else node}: must be a mapping, as in {{key: value}}"]
        )
    plugin = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plugin, dict)
    problems = [
        f"{key}={target}: must be one of Hydra's own classes"
        for key, target in _targets(plugin, f"hydra.{kind}")
        if target not in HYDRA_TARGETS
    ]
    if plugin.get("custom_search_space") is not None:
        problems.append(
            f"hydra.{kind}.custom_search_space: not supported; Hydra would import and call the function"
        )
    if problems:
        raise ConfigProblems(problems)


def launcher_keys(config: DictConfig) -> dict[str, Any] | None:
    """Return the configuration of the chosen launcher, or None for Hydra's default launcher.

    Raises:
        ConfigProblems: If the chosen launcher is invalid or not supported by rnnlab.
    """
    choice = config.hydra.runtime.choices.get("hydra/launcher")
    if choice == "basic":
        check_plugin(config, "launcher")
        return None
    node = config.hydra.launcher
    keys = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else None
    if not isinstance(keys, dict):
        raise ConfigProblems([f"hydra.launcher={node}: must contain the keys of hydra/launcher={choice}"])
    if not str(keys.get("_target_")).startswith("rnnlab."):
        allowed = ", ".join(SUPPORTED["hydra/launcher"])
        raise ConfigProblems([f"hydra/launcher={choice}: not supported; allowed: {allowed}"])
    return {str(key): value for key, value in keys.items()}


def _targets(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the key and value of every `_target_` below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield f"{path}.{key}", value
            else:
                yield from _targets(value, f"{path}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _targets(value, f"{path}.{number}")
