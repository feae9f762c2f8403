"""Output of Hydra's own options, which do not start a run: help, `--cfg`, `--info` and shell completion."""

import argparse
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.hydra_internals.private_api import HydraWithoutLogging
from rnnlab.app.config.loading import CONFIG_NAME, loader_of, register_resolvers
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.config.suggestions import KeyIndex
from rnnlab.app.config.uncertain_keys import UncertainKeys
from rnnlab.text import redact, sanitize

COMPLETION = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")


def show(args: argparse.Namespace, parser: argparse.ArgumentParser, conf_dir: Path) -> None:
    """Print the requested Hydra output, with passwords removed.

    Raises:
        ConfigProblems: If the overrides cannot be composed.
    """
    register_resolvers()
    hydra = HydraWithoutLogging("rnnlab", loader_of(conf_dir, args.config_dir))
    GlobalHydra.instance().initialize(hydra)
    output = StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(StringIO()):
            _print_requested(hydra, args, parser)
    except SystemExit:  # Hydra exits after printing its own message
        raise ConfigProblems([f"--package={args.package}: unknown key"]) from None
    except COMPOSITION_ERRORS as error:
        problems = _mistakes(args, conf_dir) or [explain_composition_error(error, args.overrides, KeyIndex())]
        raise ConfigProblems(problems) from error
    finally:
        GlobalHydra.instance().clear()
    print(sanitize(redact(output.getvalue())), end="")


def _mistakes(args: argparse.Namespace, conf_dir: Path) -> list[str]:
    """Return the messages about all overrides that cannot be composed."""
    from rnnlab.app.config.mistakes import all_problems  # imports the numerics

    def attempt(arguments: list[str], uncertain: UncertainKeys) -> None:
        compose_plan(conf_dir, arguments, args.multirun, args.config_dir)

    return all_problems(ConfigProblems([]), args.overrides, attempt)


def _print_requested(
    hydra: HydraWithoutLogging, args: argparse.Namespace, parser: argparse.ArgumentParser
) -> None:
    if args.help:
        hydra.app_help(CONFIG_NAME, parser, args)
    elif args.hydra_help:
        hydra.hydra_help(CONFIG_NAME, parser, args)
    elif args.cfg:
        hydra.show_cfg(CONFIG_NAME, args.overrides, args.cfg, args.package, args.resolve)
    elif args.info:
        hydra.show_info(args.info, CONFIG_NAME, args.overrides)
    else:
        _complete(hydra, args.overrides)


def _complete(hydra: HydraWithoutLogging, arguments: list[str]) -> None:
    """Print the shell code that enables completion of `rnnlab` commands, or the completions themselves."""
    if len(arguments) != 1 or not COMPLETION.fullmatch(arguments[0]):
        raise ConfigProblems(
            [f"{' '.join(['-sc', *arguments])}: must be one of install=bash, install=fish, install=zsh"]
        )
    sys.argv[0] = "rnnlab"  # with `python -m rnnlab`, Hydra would complete `python`
    line = os.environ.get("COMP_LINE", "")
    os.environ["COMP_LINE"] = re.sub(r"\s(-q|--quiet)(?=\s)", "", line)  # not an option of Hydra
    hydra.shell_completion(CONFIG_NAME, arguments)
