"""Hydra's loader over the options that there are, and what can be looked up with it."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnlab.app.config.hydra_internals.private_api import search_path_of
from rnnlab.app.config.loader import Loader
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems
from rnnlab.app.config.suggestions import Known
from rnnlab.paths import is_folder

CONFIG_NAME = "config"


def register_resolvers() -> None:
    """Give folder names a random suffix: two sweeps that start in one second must not share a folder."""
    suffix = secrets.token_hex(3)
    OmegaConf.register_new_resolver("rnnlab_suffix", lambda: suffix, replace=True)


def loader_of(conf_dir: Path, config_dir: str | None) -> Loader:
    """Hydra's loader of the options in both folders.

    Raises:
        ConfigProblems: There is no such folder.
    """
    search_path = search_path_of(conf_dir)
    if config_dir is not None:
        if not config_dir or not is_folder(config_dir):
            raise ConfigProblems([f"--config-dir={config_dir}: no such folder"])
        search_path.prepend("command-line", f"file://{Path(config_dir).absolute()}")
    return Loader(search_path)


def known_keys(loader: Loader, overrides: Sequence[str]) -> Known:
    """Every key with the chosen options, or else with the default ones, to find the one that was meant."""
    try:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        files = [str(o.input_line) for o in parsed if loader.names_file(o) and not o.is_sweep_override()]
        config = loader.load_configuration(CONFIG_NAME, files, RunMode.RUN)
    except COMPOSITION_ERRORS:
        config = loader.load_configuration(CONFIG_NAME, [], RunMode.RUN)

    def walk(node: dict[Any, Any], prefix: str) -> list[str]:
        keys = []
        for name, value in node.items():
            keys += [prefix + name, *(walk(value, f"{prefix}{name}.") if isinstance(value, dict) else [])]
        return keys

    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    plain.pop("hydra")
    return Known(walk(plain, ""), chosen_options(config))


def chosen_options(config: DictConfig) -> dict[str, str]:
    """The option of every group in which one is chosen."""
    return {
        key: choice
        for key, choice in config.hydra.runtime.choices.items()
        if choice is not None and not key.startswith("hydra/")
    }
