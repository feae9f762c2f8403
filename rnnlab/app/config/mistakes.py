"""Collection of all mistakes in a command, so that they can be reported together.

Composition and validation stop at the first obstacle: an unknown key hides an invalid value. To find what it
hides, the arguments named in the messages are left out and the remaining arguments are tried again. A key
that is left out has its default value; problems that are only a consequence of this are not reported.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.settings import SUPPLIED, Settings
from rnnlab.app.config.uncertain_keys import UncertainKeys, is_inside
from rnnlab.app.config.validation import fields

MAX_ROUNDS = 12
"""Number of times that the remaining arguments are tried; each time takes about a tenth of a second."""
MAX_JOBS = 200
"""Maximum number of jobs of a sweep that are tried after the first mistake."""
MAX_LINES = 50
"""Maximum number of problems that are listed."""
CONFIG_DIR = "--config-dir"
_PREFIX = f"{CONFIG_DIR}="
OPTION_SOURCES = (CONFIG_DIR, "hydra.searchpath")
"""Arguments that determine which options exist."""
_PREVIOUS = "previous argument"
_NAMED_KEY = re.compile(
    r"\A[+~]*(-*[\w./@-]+)| ([a-z_][\w./]*)=| and (\w+)(?= and |\Z)| in ([\w./-]+)\.yaml\Z"
)
_SUGGESTION = re.compile(r"did you mean ([\w.]+)\?|has the key ([\w.]+)")


class Attempt(Protocol):
    """Function that composes and validates a command, and raises ConfigProblems if it has mistakes."""

    def __call__(self, arguments: list[str], uncertain: UncertainKeys) -> object:
        """Try the arguments; `uncertain` lists the keys of the arguments that were left out."""


def all_problems(error: ConfigProblems, arguments: Sequence[str], attempt: Attempt) -> list[str]:
    """Return the messages about all mistakes in a command, in the order of the arguments.

    Args:
        error: Problems found in the complete command; without problems if it has not been tried.
        arguments: Overrides of the command and, if given, the option `--config-dir=FOLDER`.
        attempt: Function that tries some of the arguments.
    """
    found, rest = dict[str, None](), _Rest(list(arguments))
    for number in range(MAX_ROUNDS):
        new = (problem for problem in error.problems if not rest.explains(problem))
        found |= dict.fromkeys(_with_all_values(problem, arguments) for problem in new)
        is_start = number == 0 and not error.problems
        if len(found) >= MAX_LINES or not (is_start or rest.leave_out(error)):
            break
        try:
            attempt(rest.arguments, UncertainKeys(rest.uncertain))
        except ConfigProblems as next_error:
            error = next_error
        except (OSError, MemoryError):  # reported when the mistakes found so far are corrected
            break
        else:
            break
    else:
        found["there may be further mistakes; correct these first"] = None
    return in_order(list(found), arguments)


def join_arguments(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Return the overrides, preceded by the option `--config-dir=FOLDER` if it is given."""
    return [*overrides] if config_dir is None else [f"{_PREFIX}{config_dir}", *overrides]


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return the overrides and the value of `--config-dir` or None; the inverse of `join_arguments`."""
    folders = [argument.removeprefix(_PREFIX) for argument in arguments if argument.startswith(_PREFIX)]
    overrides = [argument for argument in arguments if not argument.startswith(_PREFIX)]
    return overrides, folders[0] if folders else None


def in_order(problems: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Sort messages by the position of the argument that they name; the others come last."""

    def position(problem: str) -> int:
        return min(
            map(list(arguments).index, _arguments_at_fault(problem, arguments)), default=len(arguments)
        )

    return sorted(dict.fromkeys(problems), key=position)


def shorten(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and a line with the number of the others."""
    left_out = len(problems) - MAX_LINES
    return [*problems[:MAX_LINES], *([f"and {left_out} more problems"] if left_out > 0 else [])]


@dataclass
class _Rest:
    """Arguments of a command without those that are mistakes.

    Attributes:
        arguments: Remaining arguments.
        uncertain: Keys whose intended values are unknown.
    """

    arguments: list[str]
    uncertain: frozenset[str] = frozenset()

    def leave_out(self, error: ConfigProblems) -> bool:
        """Leave out the arguments that cause the problems; return False if there are none."""
        at_fault = [a for problem in error.problems for a in _arguments_at_fault(problem, self.arguments)]
        at_fault += [argument for argument in self.arguments if _key_of(argument) in error.keys]
        if not at_fault:
            return False
        for problem in error.problems:
            if _PREVIOUS in problem:  # a value with a space but without quotes
                numbers = map(self.arguments.index, _arguments_at_fault(problem, self.arguments))
                at_fault += [self.arguments[number - 1] for number in numbers if number > 0]
        keys = {_key_of(argument) for argument in at_fault}
        at_fault += [argument for argument in self.arguments if _depends(argument, keys)]
        keys |= {_key_of(argument) for argument in at_fault}
        self.arguments = [argument for argument in self.arguments if argument not in at_fault]
        suggestions = [s for problem in error.problems for s in _suggestions(problem)]
        self.uncertain |= {*keys, *suggestions}
        if any(key in ("experiment", *OPTION_SOURCES) for key in keys):  # may set every other key
            certain = {_key_of(argument) for argument in self.arguments}
            self.uncertain |= {*SUPPLIED, "probe", *fields(Settings)} - certain
        return True

    def explains(self, problem: str) -> bool:
        """Return True if a problem may only be a consequence of an argument that was left out."""
        named = _named_keys(problem)
        is_about_argument = any(problem.startswith(f"{argument}:") for argument in self.arguments)
        if not is_about_argument and any(
            is_inside(key, uncertain) for key in named for uncertain in self.uncertain
        ):
            return True
        if "pair" in named and "values" in problem:
            return any(re.search(rf"\b{re.escape(key)}\b", problem) for key in self.uncertain)
        if problem.startswith("sweep of ") and "pair" in self.uncertain:
            return True
        if "hydra.sweeper" in self.uncertain and re.match("sweep of|.*hydra/sweeper=optuna", problem):
            return True
        is_in_group = any("." in key for key in named)
        is_measurement = any(is_inside(key, "probe.measurements") for key in named)
        sources = [
            *(["experiment"] if is_in_group else []),
            *(["measurement"] if is_measurement else []),
            *(OPTION_SOURCES if is_in_group or "unknown key" not in problem else []),
        ]
        return ": unknown " in problem and not self.uncertain.isdisjoint(sources)


def _arguments_at_fault(problem: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments that a message names, or those that set a key inside or around a named key."""
    exact = [a for a in arguments if problem.startswith((f"{a}:", f"{a!r}:", f"{a.lstrip('+~')}:"))]
    if exact:
        return exact[-1:]
    found = list[str]()
    for named in _named_keys(problem):
        keys = {argument: _key_of(argument) for argument in arguments}
        around = [key for key in keys.values() if is_inside(named, key)]
        inside = [key for key in keys.values() if is_inside(key, named)]
        innermost = [max(around, key=len)] if around else []
        wanted = [named] if named in around else inside or innermost
        found += [argument for argument, key in keys.items() if key in wanted]
    return found


def _named_keys(problem: str) -> list[str]:
    """Return the keys that a message of the form `KEY=VALUE KEY=VALUE: …` names before the colon."""
    head = problem.partition(": ")[0]
    return [key.replace("/", ".") for keys in _NAMED_KEY.findall(head) for key in keys if key]


def _key_of(argument: str) -> str:
    return argument.partition("=")[0].lstrip("+~").replace("/", ".")


def _depends(argument: str, keys: Iterable[str]) -> bool:
    """Return True if an argument sets a key inside one of the given keys, refers to one or pairs its axis."""
    key, _, value = argument.partition("=")
    for other in keys:
        word = rf"\b{re.escape(other)}\b"
        refers = re.search(word if key == "pair" else rf"\$\{{{word}", value)
        if refers or is_inside(_key_of(key), other):
            return True
    return False


def _suggestions(problem: str) -> list[str]:
    """Return the keys that a message suggests; a suggestion may omit the group of the key."""
    suggested = [first or second for first, second in _SUGGESTION.findall(problem)]
    groups = [key.rpartition(".")[0] for key in _named_keys(problem)]
    return suggested + [f"{group}.{name}" for name in suggested for group in groups if group]


def _with_all_values(problem: str, arguments: Sequence[str]) -> str:
    """Replace one value of an axis by the complete argument if the message is about the key alone."""
    head, colon, rest = problem.partition(": ")
    if not rest.startswith("unknown key"):
        return problem
    typed = next((a.lstrip("+~") for a in arguments if _key_of(a) == head.partition("=")[0]), head)
    return f"{typed}{colon}{rest}"
