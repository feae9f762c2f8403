"""Tables of all configuration keys in Markdown, generated from the schema, `conf/` and its comments.

`docs/conf.py` inserts the tables into `configuration.md` during the build; a test compares them with the
configuration that Hydra composes. The keys and their allowed values come from the annotations of the class
or function that the keys configure. The default comes from the composed configuration. The meaning comes
from the comment after the default, or else from the docstring of the class or function.
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
    attributes,
    bullet_list,
    describe_type,
    first_line,
    header_comment,
    key_comments,
    read_option,
    section,
)
from rnnlab.app.config import settings as schema
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.validation import fields
from rnnlab.diagnostics import Probe, Schedule
from rnnlab.initializers import Initializer
from rnnlab.paths import conf_dir

NO_DEFAULT = object()
NESTED = ("init", "tracking")
"""Groups of `Settings` whose options have no `_target_` class."""
LAUNCHER = "hydra/launcher"


@dataclass(frozen=True)
class Key:
    """One configuration key.

    Attributes:
        path: Name of the key on the command line.
        allowed: Allowed values in words.
        defaults: Default for each option of the key's group; a key outside groups has one default, under an
            empty name.
        meaning: Description of the key.
        optional: True if the key may be null.
    """

    path: str
    allowed: str
    defaults: Mapping[str, Any]
    meaning: str
    optional: bool

    @property
    def default(self) -> str:
        """The default in Markdown, or the default for each option if the defaults differ."""
        by_value: dict[str, list[str]] = {}
        for option, value in self.defaults.items():
            missing = value is NO_DEFAULT or (value is None and not self.optional)
            by_value.setdefault("required" if missing else format_value(value), []).append(option)
        if len(by_value) == 1:
            return next(iter(by_value))
        return "<br>".join(f"{value} ({', '.join(names)})" for value, names in by_value.items())


@dataclass(frozen=True)
class Table:
    """Table of related keys.

    Attributes:
        title: Options that have these keys, in Markdown.
        about: Description of the options.
        keys: Keys of the table.
    """

    title: str
    about: str
    keys: Sequence[Key]


def page(name: str) -> str:
    """Return the tables that replace `<!-- keys: name -->` in `configuration.md`."""
    match name:
        case "run":
            return _markdown(settings())
        case "init" | "tracking":
            items = [f"- {_describe_option(name, option)}" for option in options(name)]
            return "\n".join([*items, "", _markdown(nested(name))])
        case "kinds":
            return bullet_list(Initializer)
        case "probe":
            return _markdown(probe())
        case "measurement":
            return "\n\n".join(map(_markdown, measurements()))
        case "schedule":
            return _schedules()
        case "launcher":
            return "\n\n".join(map(_markdown, launchers()))
        case "experiment":
            names = options("experiment")
            rows = [f"| `{name}` | {header_comment('experiment', name)} |" for name in names]
            return "\n".join(["| `experiment=` | description |", "| --- | --- |", *rows])
    return "\n\n".join(map(_markdown, class_tables(name)))


def options(group: str) -> list[str]:
    """Return the names of a group's options in alphabetical order."""
    return sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))


@cache
def compose_run(*overrides: str) -> dict[str, Any]:
    """Return the composed configuration of one run."""
    (job,) = compose_plan(conf_dir(), overrides, multirun=False).jobs
    return job.config


def settings() -> Table:
    """Return the table of keys outside groups."""
    hints = {key: hint for key, hint in fields(schema.Settings).items() if key not in NESTED}
    return Table("", "", _keys("", hints, {"": compose_run()}, "", attributes(schema.Settings)))


def nested(group: str) -> Table:
    """Return the table of keys of a group whose options have no `_target_` class."""
    cls = fields(schema.Settings)[group]
    return Table("", "", _keys(f"{group}.", fields(cls), _configs(group), group, attributes(cls)))


def class_tables(group: str) -> list[Table]:
    """Return one table per class that the options of a group configure."""
    by_class: dict[type, dict[str, Any]] = {}
    for option, config in _configs(group).items():
        by_class.setdefault(resolve_name(config["_target_"]), {})[option] = config
    return [
        Table(
            ", ".join(_describe_option(group, option) for option in configs),
            first_line(cls),
            _keys(f"{group}.", fields(cls, schema.SUPPLIED[group]), configs, group, attributes(cls)),
        )
        for cls, configs in by_class.items()
    ]


def probe() -> Table:
    """Return the table of keys common to all probes, without their measurements."""
    hints = fields(Probe, ("measurements",))
    return Table("", "", _keys("probe.", hints, _configs("probe"), "probe", attributes(Probe)))


def measurements() -> list[Table]:
    """Return one table of keys per measurement, without its schedule."""
    tables = []
    for name in options("measurement"):
        config = _measurement(name)
        function = resolve_name(config["_target_"])
        hints = typing.get_type_hints(function, include_extras=True)
        arguments = {key: hint for key, hint in hints.items() if key not in ("snapshot", "return")}
        prefix, description = f"probe.measurements.{name}.", section(function, "Args")
        keys = _keys(prefix, arguments, {name: config}, "measurement", description)
        tables.append(Table(f"`+measurement={name}`", header_comment("measurement", name), keys))
    return tables


def schedules() -> dict[str, dict[str, Any]]:
    """Return the default schedule of every measurement, and the schedules that a probe changes."""
    defaults = {name: _measurement(name)["when"] for name in options("measurement")}
    result = {f"`{name}`": when for name, when in defaults.items()}
    for option, config in _configs("probe").items():
        for name, keys in config["measurements"].items():
            if keys["when"] != defaults[name]:
                result[f"`{name}` in `probe={option}`"] = keys["when"]
    return result


def launchers() -> list[Table]:
    """Return one table of keys per launcher."""
    tables = []
    for name in options(LAUNCHER):
        config = yaml.safe_load(read_option(LAUNCHER, name))
        cls = resolve_name(config["_target_"])
        keys = _keys("hydra.launcher.", fields(cls), {name: config}, LAUNCHER, attributes(cls))
        tables.append(Table(f"`{LAUNCHER}={name}`", header_comment(LAUNCHER, name), keys))
    return tables


def format_value(value: Any) -> str:
    """Return a YAML value as Markdown code."""
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"


def _configs(group: str) -> dict[str, Any]:
    """Return the composed keys of every option of a group."""
    return {option: compose_run(f"{group}={option}")[group] for option in options(group)}


def _measurement(name: str) -> dict[str, Any]:
    probe_config = compose_run("probe=none", f"+measurement={name}")["probe"]
    config: dict[str, Any] = probe_config["measurements"][name]
    return config


def _describe_option(group: str, option: str) -> str:
    """Return an option in Markdown, with the comment at the top of its file."""
    description = header_comment(group, option)
    return f"`{group}={option}`" + (f" ({description})" if description else "")


def _keys(
    prefix: str,
    hints: Mapping[str, Any],
    configs: Mapping[str, Any],
    group: str,
    documented: Mapping[str, str],
) -> list[Key]:
    """Return one key per annotation; the fields of a dataclass are separate keys."""
    keys = []
    for name, hint in hints.items():
        values = {option: config.get(name, NO_DEFAULT) for option, config in configs.items()}
        if dataclasses.is_dataclass(hint):
            cls = typing.cast(type, hint)
            keys += _keys(f"{prefix}{name}.", fields(cls), values, group, attributes(cls))
            continue
        path = name
        if group != "measurement":
            path = f"{prefix}{name}".removeprefix(f"{group.replace('/', '.')}.")
        comment = next((text for option in configs if (text := key_comments(group, option).get(path))), "")
        meaning = comment or documented.get(name, "")
        keys.append(Key(f"{prefix}{name}", describe_type(hint), values, meaning, admits_null(hint)))
    return keys


def _schedules() -> str:
    description, names = attributes(Schedule), list(fields(Schedule))
    lines = ["| key | allowed | meaning |", "| --- | --- | --- |"]
    for name, hint in fields(Schedule).items():
        key = f"`probe.measurements.<name>.when.{name}`"
        lines.append(f"| {key} | {describe_type(hint)} | {description[name]} |")
    lines += ["", f"| default of | {' | '.join(f'`{name}`' for name in names)} |", "| --- " * 5 + "|"]
    for measurement, when in schedules().items():
        lines.append(f"| {measurement} | {' | '.join(format_value(when[name]) for name in names)} |")
    return "\n".join(lines)


def _markdown(table: Table) -> str:
    lines = [f"{table.title}: {table.about}", ""] if table.title else []
    if table.keys:
        lines += ["| key | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        lines += [f"| `{key.path}` | {key.default} | {key.allowed} | {key.meaning} |" for key in table.keys]
    return "\n".join(lines)
