"""Every key of the configuration as tables in Markdown: from the schema, `conf/` and its comments.

`docs/conf.py` puts them into `configuration.md` when the pages are built; a test holds them against what
Hydra composes. Which keys there are, and what each takes, comes from the annotations of the class or function
that they fill; the default from the composed configuration; the meaning from the comment beside the default,
or else from the docstring of the class or function.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pkgutil import resolve_name
from typing import Any

import yaml

from docs.descriptions import (
    admits_null,
    allowed,
    attributes,
    comments,
    first_line,
    head,
    listed,
    section,
    text_of,
)
from rnnlab.app.config import build as schema
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.validation import fields
from rnnlab.diagnostics import Probe, Schedule
from rnnlab.initializers import Initializer
from rnnlab.paths import conf_dir

NO_DEFAULT = object()
NESTED = ("init", "tracking")
"""Groups of `Settings` whose options name no class."""
LAUNCHER = "hydra/launcher"


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        path: As on the command line.
        allowed: What it takes, in words.
        defaults: By option of its group; of a key outside of groups under the empty name.
        meaning: What it is.
        optional: Whether it may be null.
    """

    path: str
    allowed: str
    defaults: Mapping[str, Any]
    meaning: str
    optional: bool

    @property
    def default(self) -> str:
        """In Markdown; by option where they differ."""
        by_value: dict[str, list[str]] = {}
        for option, value in self.defaults.items():
            missing = value is NO_DEFAULT or (value is None and not self.optional)
            by_value.setdefault("must be given" if missing else shown(value), []).append(option)
        if len(by_value) == 1:
            return next(iter(by_value))
        return "<br>".join(f"{value} ({', '.join(of)})" for value, of in by_value.items())


@dataclass(frozen=True)
class Table:
    """Keys that belong together.

    Attributes:
        title: The options whose keys they are, in Markdown.
        about: What these are.
        keys: The keys.
    """

    title: str
    about: str
    keys: Sequence[Key]


def page(name: str) -> str:
    """What stands in `configuration.md` in place of `<!-- keys: name -->`."""
    match name:
        case "run":
            return _markdown(settings())
        case "init" | "tracking":
            named = [f"- {_named(name, option)}" for option in options(name)]
            return "\n".join([*named, "", _markdown(nested(name))])
        case "kinds":
            return listed(Initializer)
        case "probe":
            return _markdown(probe())
        case "measurement":
            return "\n\n".join(map(_markdown, measurements()))
        case "schedule":
            return _schedules()
        case "launcher":
            return "\n\n".join(map(_markdown, launchers()))
        case "experiment":
            rows = [f"| `{option}` | {head('experiment', option)} |" for option in options("experiment")]
            return "\n".join(["| `experiment=` | what |", "| --- | --- |", *rows])
    return "\n\n".join(map(_markdown, of_classes(name)))


def options(group: str) -> list[str]:
    """The options of a group, by name."""
    return sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))


@cache
def composed(*overrides: str) -> dict[str, Any]:
    """The configuration of one run."""
    (job,) = compose_plan(conf_dir(), overrides, multirun=False).jobs
    return job.config


def settings() -> Table:
    """Keys outside of groups."""
    hints = {key: hint for key, hint in fields(schema.Settings).items() if key not in NESTED}
    return Table("", "", _keys("", hints, {"": composed()}, "", attributes(schema.Settings)))


def nested(group: str) -> Table:
    """Keys of a group whose options name no class."""
    cls = fields(schema.Settings)[group]
    return Table("", "", _keys(f"{group}.", fields(cls), _configs(group), group, attributes(cls)))


def of_classes(group: str) -> list[Table]:
    """For each class that options of a group name, its keys."""
    by_class: dict[type, dict[str, Any]] = {}
    for option, config in _configs(group).items():
        by_class.setdefault(resolve_name(config["_target_"]), {})[option] = config
    return [
        Table(
            ", ".join(_named(group, option) for option in configs),
            first_line(cls),
            _keys(f"{group}.", fields(cls, schema.SUPPLIED[group]), configs, group, attributes(cls)),
        )
        for cls, configs in by_class.items()
    ]


def probe() -> Table:
    """Keys of every probe, beside its measurements."""
    hints = fields(Probe, ("measurements",))
    return Table("", "", _keys("probe.", hints, _configs("probe"), "probe", attributes(Probe)))


def measurements() -> list[Table]:
    """For each measurement its own keys, beside its schedule."""
    found = []
    for name in options("measurement"):
        config = _measurement(name)
        function = resolve_name(config["_target_"])
        hints = typing.get_type_hints(function, include_extras=True)
        own = {key: hint for key, hint in hints.items() if key not in ("snapshot", "return")}
        prefix, description = f"probe.measurements.{name}.", section(function, "Args")
        keys = _keys(prefix, own, {name: config}, "measurement", description)
        found.append(Table(f"`+measurement={name}`", head("measurement", name), keys))
    return found


def schedules() -> dict[str, dict[str, Any]]:
    """The schedule of every measurement, and of those that a probe times in another way."""
    own = {name: _measurement(name)["when"] for name in options("measurement")}
    found = {f"`{name}`": when for name, when in own.items()}
    for option, config in _configs("probe").items():
        for name, keys in config["measurements"].items():
            if keys["when"] != own[name]:
                found[f"`{name}` in `probe={option}`"] = keys["when"]
    return found


def launchers() -> list[Table]:
    """For each launcher its keys."""
    found = []
    for name in options(LAUNCHER):
        config = yaml.safe_load(text_of(LAUNCHER, name))
        cls = resolve_name(config["_target_"])
        keys = _keys("hydra.launcher.", fields(cls), {name: config}, LAUNCHER, attributes(cls))
        found.append(Table(f"`{LAUNCHER}={name}`", head(LAUNCHER, name), keys))
    return found


def shown(value: Any) -> str:
    """A value as in YAML, in Markdown."""
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def _configs(group: str) -> dict[str, Any]:
    """The composed keys of every option of a group."""
    return {option: composed(f"{group}={option}")[group] for option in options(group)}


def _measurement(name: str) -> dict[str, Any]:
    config: dict[str, Any] = composed("probe=none", f"+measurement={name}")["probe"]["measurements"][name]
    return config


def _named(group: str, option: str) -> str:
    """An option, and what its file begins with."""
    description = head(group, option)
    return f"`{group}={option}`" + (f" ({description})" if description else "")


def _keys(
    prefix: str,
    hints: Mapping[str, Any],
    configs: Mapping[str, Any],
    group: str,
    documented: Mapping[str, str],
) -> list[Key]:
    """The keys that annotations name, those of a dataclass one by one."""
    found = []
    for name, hint in hints.items():
        values = {option: config.get(name, NO_DEFAULT) for option, config in configs.items()}
        if dataclasses.is_dataclass(hint):
            cls = typing.cast(type, hint)
            found += _keys(f"{prefix}{name}.", fields(cls), values, group, attributes(cls))
            continue
        own = (
            f"{prefix}{name}".removeprefix(f"{group.replace('/', '.')}.") if group != "measurement" else name
        )
        comment = next((text for option in configs if (text := comments(group, option).get(own))), "")
        meaning = comment or documented.get(name, "")
        found.append(Key(f"{prefix}{name}", allowed(hint), values, meaning, admits_null(hint)))
    return found


def _schedules() -> str:
    description, names = attributes(Schedule), list(fields(Schedule))
    lines = ["| key | allowed | meaning |", "| --- | --- | --- |"]
    for name, hint in fields(Schedule).items():
        lines.append(f"| `probe.measurements.<name>.when.{name}` | {allowed(hint)} | {description[name]} |")
    lines += ["", f"| default of | {' | '.join(f'`{name}`' for name in names)} |", "| --- " * 5 + "|"]
    for of, when in schedules().items():
        lines.append(f"| {of} | {' | '.join(shown(when[name]) for name in names)} |")
    return "\n".join(lines)


def _markdown(table: Table) -> str:
    lines = [f"{table.title}: {table.about}", ""] if table.title else []
    if table.keys:
        lines += ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{key.path}` | {key.default} | {key.allowed} | {key.meaning} |" for key in table.keys]
    return "\n".join(lines)
