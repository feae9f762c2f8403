"""A configuration holds values: what would make Hydra import or call something is refused before it does."""

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

OF_HYDRA = (
    BASIC_LAUNCHER,
    BASIC_SWEEPER,
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    *(f"optuna.samplers.{name}Sampler" for name in ("TPE", "Random", "CmaEs", "NSGAII", "MOTPE", "Grid")),
)
"""What Hydra and its Optuna sweeper themselves put under `hydra`."""


class _Files(FileReader):
    """Hydra's reader of options, which names the file that cannot be read."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Read an option.

        Raises:
            ConfigProblems: It is not what an option has to be.
        """
        name = f"{config_path.removesuffix('.yaml')}.yaml"
        try:
            found = super().load_config(config_path)
        except YAMLError as error:
            said = " ".join(str(error).split())
            raise ConfigProblems([f"{name}: cannot be read ({said})"]) from error
        except UnicodeDecodeError as error:
            raise ConfigProblems(
                [f"{name}: not a UTF-8 text ({error.reason} at byte {error.start})"]
            ) from error
        except RecursionError as error:
            raise ConfigProblems([f"{name}: cannot be read (it contains itself)"]) from error
        except GrammarParseError as error:
            key = getattr(error, "full_key", None)
            raise ConfigProblems([f"{name}: {key}: an interpolation that cannot be read"]) from error
        if found is not None and not isinstance(found.config, DictConfig):
            raise ConfigProblems([f"{name}: must have a line key: value for each key"])
        if name.startswith("experiment/") and found and found.header.get("package") != "_global_":
            raise ConfigProblems([f"{name}: must begin with the line # @package _global_"])
        return found


class Loader(HydraLoader):
    """Hydra's loader, for configurations that nobody has looked at."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path, _Files(config_search_path))
        self._are_groups: dict[str, bool] = {}

    def load_configuration(self, *args: Any, **keys: Any) -> DictConfig:
        """Compose.

        Raises:
            ConfigProblems: A callback, an option elsewhere, or a search path that would be imported.
        """
        config = super().load_configuration(*args, **keys)
        if names := list(config.hydra.callbacks):
            raise ConfigProblems(f"hydra.callbacks.{name}: not supported" for name in names)
        chosen = config.hydra.runtime.choices
        if paths := [f"{group}={name}" for group, name in chosen.items() if "/" in str(name)]:
            raise ConfigProblems(f"{path}: must be a name, without /" for path in paths)
        return config

    def names_file(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, or where options are looked for."""
        if override.get_key_element().lstrip("+~") == "hydra.searchpath":
            return True
        key = override.key_or_group
        if key not in self._are_groups:
            self._are_groups[key] = self.repository.group_exists(key)
        return self._are_groups[key] and not isinstance(override.value(), dict)

    def check_search_path(self, primary: Any, overrides: Sequence[Override]) -> None:
        """To look for options in a package, `pkg://…`, is to import it."""
        paths: list[Any] = [o.value() for o in overrides if o.get_key_element() == "hydra.searchpath"]
        if primary is not None:
            paths.append(OmegaConf.select(primary, "hydra.searchpath"))
        for listed in paths:
            if isinstance(listed, str | int | float):
                raise ConfigProblems([f"hydra.searchpath={listed}: must be a list, as in [a,b]"])
        for path in (str(path) for listed in paths for path in listed or ()):
            if "://" in path and not path.startswith("file://"):
                raise ConfigProblems([f"hydra.searchpath={path}: must be a folder"])
            if not is_folder(path.removeprefix("file://")):
                raise ConfigProblems([f"hydra.searchpath={path}: no such folder"])


def check_plugin(config: DictConfig, kind: str) -> None:
    """Look at a sweeper or launcher of Hydra's; all else rnnlab makes, with checks of its own.

    Args:
        config: The configuration.
        kind: Its key in `hydra`.

    Raises:
        ConfigProblems: It names what is not Hydra's.
    """
    chosen = config.hydra[kind]
    if not isinstance(chosen, DictConfig):
        raise ConfigProblems(
            [f"hydra.{kind}={'null' if chosen is None else chosen}: must have keys of its own"]
        )
    plugin = OmegaConf.to_container(chosen, resolve=True)
    assert isinstance(plugin, dict)
    problems = [
        f"{key}={named}: must be Hydra's own"
        for key, named in _targets(plugin, f"hydra.{kind}")
        if named not in OF_HYDRA
    ]
    if plugin.get("custom_search_space") is not None:
        problems.append(f"hydra.{kind}.custom_search_space: not supported; it would be imported and called")
    if problems:
        raise ConfigProblems(problems)


def launcher_of(config: DictConfig) -> dict[str, Any] | None:
    """The keys of the chosen launcher; Hydra's own would be left unused without a word."""
    choice = config.hydra.runtime.choices.get("hydra/launcher")
    if choice == "basic":
        check_plugin(config, "launcher")
        return None
    chosen = config.hydra.launcher
    keys = OmegaConf.to_container(chosen, resolve=True) if isinstance(chosen, DictConfig) else None
    if not isinstance(keys, dict):
        raise ConfigProblems([f"hydra.launcher={chosen}: must hold the keys of hydra/launcher={choice}"])
    if not str(keys.get("_target_")).startswith("rnnlab."):
        allowed = ", ".join(SUPPORTED["hydra/launcher"])
        raise ConfigProblems([f"hydra/launcher={choice}: not supported; allowed: {allowed}"])
    return {str(key): value for key, value in keys.items()}


def _targets(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every `_target_` below a node, with its key."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "_target_":
                yield f"{path}.{key}", value
            else:
                yield from _targets(value, f"{path}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _targets(value, f"{path}.{number}")
