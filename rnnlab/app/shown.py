"""What is shown without a run, by Hydra: help, `--cfg`, `--info` and the words of shell completion."""

import argparse
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from rnnlab.app.compose import CONFIG_NAME, loader_of, register_resolvers
from rnnlab.app.problems import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error


def show(args: argparse.Namespace, parser: argparse.ArgumentParser, conf_dir: Path) -> None:
    """Print what was asked for.

    Raises:
        ConfigProblems: The overrides cannot be composed.
    """
    register_resolvers()
    hydra = _Hydra("rnnlab", loader_of(conf_dir, args.config_dir))
    GlobalHydra.instance().initialize(hydra)
    try:
        if args.help:
            hydra.app_help(CONFIG_NAME, parser, args)
        elif args.hydra_help:
            hydra.hydra_help(CONFIG_NAME, parser, args)
        elif args.cfg:
            hydra.show_cfg(CONFIG_NAME, args.overrides, args.cfg, args.package, args.resolve)
        elif args.info:
            hydra.show_info(args.info, CONFIG_NAME, args.overrides)
        else:
            hydra.shell_completion(CONFIG_NAME, args.overrides)
    except COMPOSITION_ERRORS as error:
        raise ConfigProblems([explain_composition_error(error, args.overrides, [])]) from error
    finally:
        GlobalHydra.instance().clear()


class _Hydra(Hydra):
    """Without Hydra's logging, whose configuration could name functions to be called and files to be made."""

    def compose_config(self, *args: Any, with_log_configuration: bool = False, **keys: Any) -> DictConfig:
        return super().compose_config(*args, **keys)
