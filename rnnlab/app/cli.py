"""Command-line interface of rnnlab, built on Hydra.

This module composes, checks and launches runs and sweeps. Hydra provides the help text, `--cfg`, `--info` and
shell completion. The exit codes are:

- 0: All runs completed; diverged runs count as completed.
- 1: At least one run failed, or the help text or a configuration could not be printed.
- 2: The input is invalid.
- 130: A signal ended the command.
"""

import os
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from rnnlab.app.all_mistakes import CommandLine, all_mistakes
from rnnlab.app.config.compose import compose
from rnnlab.app.config.hydra_internals.private_api import command_line_parser
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import Plan
from rnnlab.app.hydra_help import show
from rnnlab.paths import conf_dir
from rnnlab.signals import INTERRUPTED
from rnnlab.terminal.console import SEE_HELP, output_exit_code, print_problems

if TYPE_CHECKING:
    from rnnlab.app.check import CheckedPlan
    from rnnlab.app.display import Display


def main(argv: Sequence[str]) -> int:
    """Run the command with the given arguments and return its exit code."""
    show_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise exceptions instead of printing them and exiting
    try:
        return _run(list(argv))
    except ConfigProblems as error:
        if show_tracebacks:
            traceback.print_exc()
        print_problems("rnnlab", error.problems)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: list[str]) -> int:
    parser = command_line_parser()
    parser.error = _refuse_option  # type: ignore[method-assign]
    parser.add_argument(
        "--quiet", "-q", action="store_true", help="Print only warnings and the path of the results folder"
    )
    args, problems = _parse(parser, argv)
    if (args.help or args.hydra_help or args.cfg or args.info or args.shell_completion) and not problems:
        show(args, parser, conf_dir())
        return output_exit_code()
    command = CommandLine(args.overrides, args.multirun, args.config_dir, problems)
    with all_mistakes(command):
        plan = compose(conf_dir(), command.overrides, command.multirun, command.config_dir)
    # Load numerics, workers and tables only after the command line has been composed without errors.
    from rnnlab.app.display import Display
    from rnnlab.runs.log import capture_log

    with capture_log() as log:
        display = Display(log=log, quiet=args.quiet)
        if isinstance(plan, Plan):
            from rnnlab.app.check import check

            with all_mistakes(command):
                checked = check(plan)
            return _launch(checked, display, is_default=not args.overrides)
        from rnnlab.app.adaptive import search

        with all_mistakes(command):
            return search(plan, display)


def _parse(parser: ArgumentParser, argv: list[str]) -> tuple[Namespace, list[str]]:
    """Return the options and overrides of a command line, and the problems with its options."""
    try:
        args, unknown = parser.parse_known_intermixed_args(argv)  # -m may appear anywhere
    except ConfigProblems as error:
        overrides = [argument for argument in argv if "=" in argument and not argument.startswith("-")]
        args = parser.parse_args(["-m", *overrides] if "-m" in argv or "--multirun" in argv else overrides)
        return args, error.problems
    args.overrides += [argument for argument in unknown if not argument.startswith("-")]
    unknown = [argument for argument in unknown if argument.startswith("-")]
    problems = [f"unrecognized arguments: {' '.join(unknown)}; {SEE_HELP}"] if unknown else []
    if args.experimental_rerun is not None:
        reason = "not supported, because unpickling the file could execute arbitrary code"
        problems.append(f"--experimental-rerun: {reason}")
    if args.config_name is not None or args.config_path is not None:
        problems.append(
            "--config-name, --config-path: not supported; use --config-dir to add your own options"
        )
    return args, problems


def _launch(checked: "CheckedPlan", display: "Display", is_default: bool) -> int:
    from rnnlab.app.launch import launch
    from rnnlab.app.reporting import write_sweep_report

    if is_default:
        choices, settings = checked.plan.jobs[0].choices, checked.settings
        display.note(
            f"Running the default configuration: cell={choices['cell']} task={choices['task']} "
            f"seq_len={settings.seq_len} steps={settings.steps}. For all keys, see --help."
        )
    result = launch(checked, display)
    display.show_results(checked.plan, result.infos, checked.settings.tracking, result.mirror_report)
    display.print_folder(checked.plan.folder)
    if not result.interrupted:
        write_sweep_report(checked.plan, checked.settings, result.mirror_report, display)
    return result.exit_code


def _refuse_option(message: str) -> NoReturn:
    raise ConfigProblems([f"{message}; {SEE_HELP}"])
