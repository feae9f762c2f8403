"""A configuration holds values: what would make Hydra import or call something is refused before it does."""

from collections.abc import Iterator
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from rnnlab.app.problems import ConfigProblems

OF_HYDRA = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    *(f"optuna.samplers.{name}Sampler" for name in ("TPE", "Random", "CmaEs", "NSGAII", "MOTPE", "Grid")),
)
"""What Hydra and its Optuna sweeper themselves put under `hydra`."""


class Loader(ConfigLoaderImpl):
    """Hydra's loader, for configurations that nobody has looked at."""

    def load_configuration(self, *args: Any, **keys: Any) -> DictConfig:
        """Compose.

        Raises:
            ConfigProblems: A callback, or a search path that would be imported.
        """
        config = super().load_configuration(*args, **keys)
        if names := list(config.hydra.callbacks):
            raise ConfigProblems(f"hydra.callbacks.{name}: not supported" for name in names)
        return config

    def names_file(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, or where options are looked for."""
        if override.get_key_element().lstrip("+~") == "hydra.searchpath":
            return True
        is_group = self.repository.group_exists(override.key_or_group)
        return is_group and not isinstance(override.value(), dict)

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        """To look for options in a package, `pkg://…`, is to import it."""
        paths: list[Any] = [o.value() for o in parsed_overrides if o.get_key_element() == "hydra.searchpath"]
        primary = repo.load_config(config_path=config_name) if config_name else None
        if primary is not None:
            paths.append(OmegaConf.select(primary.config, "hydra.searchpath"))
        for path in (str(path) for listed in paths for path in listed or ()):
            if "://" in path and not path.startswith("file://"):
                raise ConfigProblems([f"hydra.searchpath={path}: must be a folder"])
        super()._process_config_searchpath(config_name, parsed_overrides, repo)


def check_sweeper(config: DictConfig) -> None:
    """Look at what Hydra is going to make a sweeper of; all else rnnlab makes, with checks of its own.

    Raises:
        ConfigProblems: It names what is not Hydra's.
    """
    sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    problems = [
        f"{key}={named}: must be Hydra's own"
        for key, named in _targets(sweeper, "hydra.sweeper")
        if named not in OF_HYDRA
    ]
    if isinstance(sweeper, dict) and sweeper.get("custom_search_space") is not None:
        problems.append("hydra.sweeper.custom_search_space: not supported; it would be imported and called")
    if problems:
        raise ConfigProblems(problems)


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
