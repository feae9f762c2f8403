"""Collection of all mistakes in a command, when composing or checking it has failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rnnlab.app.config.adaptive_sweep import AdaptiveSweep
from rnnlab.app.config.compose import compose
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.uncertain_keys import UncertainKeys
from rnnlab.paths import conf_dir


@dataclass(frozen=True)
class CommandLine:
    """Arguments of a command that starts runs.

    Attributes:
        overrides: Overrides in Hydra's grammar.
        multirun: True for a sweep.
        config_dir: Additional folder that contains the user's own option files.
        option_problems: Problems with options such as `--config-dir`.
    """

    overrides: Sequence[str]
    multirun: bool
    config_dir: str | None = None
    option_problems: Sequence[str] = ()


@contextmanager
def all_mistakes(command: CommandLine) -> Iterator[None]:
    """Replace ConfigProblems raised by the `with` block with an exception that lists all mistakes."""
    try:
        yield
        if command.option_problems:
            raise ConfigProblems([])
    except ConfigProblems as error:
        from rnnlab.app.check import check_rest
        from rnnlab.app.config import mistakes

        def attempt(arguments: list[str], uncertain: UncertainKeys) -> None:
            overrides, folder = mistakes.split_arguments(arguments)
            plan = compose(conf_dir(), overrides, command.multirun, folder, mistakes.MAX_JOBS)
            if isinstance(plan, AdaptiveSweep):
                uncertain, plan = UncertainKeys(uncertain.keys.union(plan.axes)), plan.fixed_part()
            check_rest(plan, uncertain)

        arguments = mistakes.join_arguments(command.overrides, command.config_dir)
        found = mistakes.all_problems(error, arguments, attempt)
        raise ConfigProblems(mistakes.shorten([*command.option_problems, *found])) from error
