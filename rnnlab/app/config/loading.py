"""Creation of the Hydra loader, and queries about the available keys and options."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnlab.app.config.hydra_internals.private_api import search_path_of
from rnnlab.app.config.loader import Loader
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.config.suggestions import KeyIndex
from rnnlab.paths import is_folder

CONFIG_NAME = "config"


def register_resolvers() -> None:
    """Register a random suffix for folder names, so that sweeps started in the same second differ."""
    suffix = secrets.token_hex(3)
    OmegaConf.register_new_resolver("rnnlab_suffix", lambda: suffix, replace=True)


def loader_of(conf_dir: Path, config_dir: str | None) -> Loader:
    """Return a configuration loader for the options in `conf_dir` and, if specified, in `config_dir`.

    Raises:
        ConfigProblems: If `config_dir` is not a folder.
    """
    version.setbase("1.3")
    search_path = search_path_of(conf_dir)
    if config_dir is not None:
        if not config_dir or not is_folder(config_dir):
            raise ConfigProblems([f"--config-dir={config_dir}: no such folder"])
        search_path.prepend("command-line", f"file://{Path(config_dir).absolute()}")
    return Loader(search_path)


def key_index(loader: Loader, overrides: Sequence[str]) -> KeyIndex:
    """Return the keys of the chosen options, or of the default options if composition fails."""
    try:
        config, _ = compose_files(loader, overrides)
    except COMPOSITION_ERRORS:
        config = loader.load_configuration(CONFIG_NAME, [], RunMode.RUN)
    return index_of(config)


def compose_files(loader: Loader, overrides: Sequence[str]) -> tuple[DictConfig, list[Override]]:
    """Return the configuration of the chosen option files, and the overrides that set values.

    Overrides with several values are neglected.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
    single = [override for override in parsed if not override.is_sweep_override()]
    files = [str(override.input_line) for override in single if loader.names_file(override)]
    config = loader.load_configuration(CONFIG_NAME, files, RunMode.RUN)
    return config, [override for override in single if not loader.names_file(override)]


def refused_values(loader: Loader, overrides: Sequence[str]) -> list[str]:
    """Return one message per override whose key or value the chosen option files do not accept."""
    problems = []
    try:
        config, values = compose_files(loader, overrides)
    except COMPOSITION_ERRORS:  # the option files must be correct first
        return []
    index = index_of(config)
    for override in values:
        try:
            loader.set_values(config, [override])
        except COMPOSITION_ERRORS as error:
            problems.append(explain_composition_error(error, [str(override.input_line)], index))
    return problems


def index_of(config: DictConfig) -> KeyIndex:
    """Return the keys of a configuration."""

    def collect_keys(node: dict[Any, Any], prefix: str) -> list[str]:
        keys = []
        for name, value in node.items():
            keys.append(prefix + name)
            if isinstance(value, dict):
                keys += collect_keys(value, f"{prefix}{name}.")
        return keys

    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    plain.pop("hydra")
    return KeyIndex(collect_keys(plain, ""), chosen_options(config))


def chosen_options(config: DictConfig) -> dict[str, str]:
    """Return the chosen option of each group, omitting groups without a chosen option."""
    return {
        key: choice
        for key, choice in config.hydra.runtime.choices.items()
        if choice is not None and not key.startswith("hydra/")
    }
