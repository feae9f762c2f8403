"""Compositions of the project's own option files, made once for all tests of a process."""

import os
import pickle
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from rnnlab.app.config.hydra_internals.private_api import HydraLoader
from rnnlab.paths import conf_dir

_kept: dict[Hashable, bytes] = {}


def keep_compositions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Hydra compose each list of overrides once, as long as no option file changes.

    Compositions that read a user's option files are not kept, nor are those that fail.
    """
    original = HydraLoader.load_configuration

    def load(
        self: HydraLoader, config_name: str, overrides: list[str], run_mode: Any, **keys: Any
    ) -> DictConfig:
        if keys or not _reads_own_files(self, overrides):
            return original(self, config_name, overrides, run_mode, **keys)
        key = (config_name, tuple(overrides), run_mode, _state(conf_dir()))
        if key in _kept:
            config: DictConfig = pickle.loads(_kept[key])
            return config
        config = original(self, config_name, overrides, run_mode)
        _kept[key] = pickle.dumps(config)
        return config

    monkeypatch.setattr(HydraLoader, "load_configuration", load)


def _reads_own_files(loader: HydraLoader, overrides: list[str]) -> bool:
    paths = [part.path for part in loader.config_search_path.get_path()]
    own = ["pkg://hydra.conf", str(conf_dir()), "structured://"]
    return paths == own and not any("searchpath" in override for override in overrides)


def _state(folder: Path) -> Hashable:
    """Return the path, modification time and size of every file below a folder."""
    files = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    return tuple((file, os.stat(file).st_mtime_ns, os.stat(file).st_size) for file in files)
