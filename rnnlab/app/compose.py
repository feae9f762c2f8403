"""From a command line to the jobs it asks for, each composed once by Hydra.

Hydra's own `run` and `multirun` make folders before all jobs are composed and stop at the first
mistake; here every job is composed first and all mistakes are told together.
"""

import copy
import glob
import itertools
import re
import secrets
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from rnnlab.app.folders import folder_in_sweep, folder_named
from rnnlab.app.problems import COMPOSITION_ERRORS, SUPPORTED, ConfigProblems, explain_composition_error
from rnnlab.app.spelling import Known
from rnnlab.app.trust import Loader, check_plugin
from rnnlab.paths import is_folder

CONFIG_NAME = "config"
ADAPTIVE = "optuna"
"""The sweeper of Hydra's that chooses jobs by the results of others."""
WITHOUT_EFFECT = (
    *("jobs", "pair", "objective", "fail_fast", "resume"),
    *("checkpoint_every", "figures", "report", "tracking"),
)
"""Keys that no result depends on."""
MAX_NAME = 80
MAX_SWEEP = 200
MAX_JOBS = 100_000
"""Of a sweep: to compose and check so many takes a quarter of an hour."""


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Attributes:
        number: Its place in the sweep, from 0.
        name: From what was swept, such as `lstm seq_len=50`.
        folder: Where its files go, absolute.
        config: The resolved configuration, plain data.
        overrides: The command line's part of it.
        swept: The overrides whose values differ within the sweep, by key.
        choices: The chosen option of every group.
    """

    number: int
    name: str
    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    swept: dict[str, str]
    choices: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """All jobs of one command.

    Attributes:
        folder: What the runs share, absolute; of a single run its own.
        jobs: Those that could be composed.
        is_sweep: Whether it is a sweep, even of one run.
        pattern: What `folder` was made from, with what is new at every command as `${…}`.
        sweep: The name that all runs of this command share.
        launcher: The chosen Hydra launcher's keys; None for processes on this machine.
        goes_on: Whether earlier jobs of this command are in the folder already.
        command: The command line.
        problems: A line for each job that could not be composed.
    """

    folder: Path
    jobs: list[Job]
    is_sweep: bool
    pattern: str
    sweep: str
    launcher: dict[str, Any] | None = None
    goes_on: bool = False
    command: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def earlier(self) -> list[Path]:
        """Folders of earlier commands: where this one's folder could have been at another time, absolute."""
        parts = re.split(r"\$\{[^{}]*\}", self.pattern)
        return [Path(path).absolute() for path in glob.glob("*".join(map(glob.escape, parts)))]


def register_resolvers() -> None:
    """Give folder names a random suffix: two sweeps that start in one second must not share a folder."""
    suffix = secrets.token_hex(3)
    OmegaConf.register_new_resolver("rnnlab_suffix", lambda: suffix, replace=True)


@dataclass(frozen=True)
class AdaptiveSweep:
    """A sweep whose sweeper chooses the next jobs by how the last ones came out.

    Attributes:
        loader: Hydra's.
        config: With the sweeper's keys in `hydra.sweeper`.
        arguments: The command line, with the space to be searched.
    """

    loader: Loader
    config: DictConfig
    arguments: list[str]

    def plan(self, batch: Sequence[Sequence[str]], first: int) -> Plan:
        """The next jobs as a plan, in the folder that all of the sweep share."""
        of_hydra = list(self.config.hydra.overrides.hydra)
        parsed = OverridesParser.create(config_loader=self.loader).parse_overrides(self.arguments)
        swept = [override.get_key_element() for override in parsed if override.is_sweep_override()]
        swept += list(self.config.hydra.sweeper.get("params") or {})
        expanded = [of_hydra + list(job) for job in batch]
        folder = folder_named("hydra.sweep.dir", self.config.hydra.sweep.dir)
        plan = _plan_of_many(self.loader, expanded, _launcher(self.config), folder, first, swept)
        return replace(plan, goes_on=first > 0, command=_command(of_hydra + self.arguments, True))


def loader_of(conf_dir: Path, config_dir: str | None) -> Loader:
    """Hydra's loader of the options in both folders.

    Raises:
        ConfigProblems: There is no such folder.
    """
    search_path = create_config_search_path(str(conf_dir))
    if config_dir is not None:
        if not config_dir or not is_folder(config_dir):
            raise ConfigProblems([f"--config-dir={config_dir}: no such folder"])
        search_path.prepend("command-line", f"file://{Path(config_dir).absolute()}")
    return Loader(search_path)


def compose_plan(
    conf_dir: Path, overrides: Sequence[str], multirun: bool, config_dir: str | None = None
) -> Plan:
    """As `compose`, of what is no adaptive sweep."""
    plan = compose(conf_dir, overrides, multirun, config_dir)
    if isinstance(plan, AdaptiveSweep):
        raise ConfigProblems([f"hydra/sweeper={ADAPTIVE}: its jobs are not known beforehand"])
    return plan


def compose(
    conf_dir: Path, overrides: Sequence[str], multirun: bool, config_dir: str | None = None
) -> Plan | AdaptiveSweep:
    """Compose every job that the overrides ask for.

    Args:
        conf_dir: The folder with `config.yaml`.
        overrides: In Hydra's grammar.
        multirun: Whether several values of a key make a sweep (`-m`).
        config_dir: A further folder with options of the user's own.

    Raises:
        ConfigProblems: With a line for each mistake.
    """
    setup_globals()
    register_resolvers()
    loader = loader_of(conf_dir, config_dir)
    overrides = list(overrides)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        base = loader.load_configuration(CONFIG_NAME, _of_all_jobs(loader, overrides, mode), mode)
        sweeper = base.hydra.runtime.choices["hydra/sweeper"]
        if sweeper not in SUPPORTED["hydra/sweeper"]:
            allowed = ", ".join(SUPPORTED["hydra/sweeper"])
            raise ConfigProblems([f"hydra/sweeper={sweeper}: not supported; allowed: {allowed}"])
        check_plugin(base, "sweeper")
        if mode is RunMode.RUN and base.hydra.mode is not RunMode.MULTIRUN:
            return replace(_plan_of_one(base), command=_command(overrides, multirun))
        if sweeper == ADAPTIVE:
            base = loader.load_configuration(CONFIG_NAME, overrides, mode)
            return AdaptiveSweep(loader, base, list(base.hydra.overrides.task))
        expanded = _expand(loader, base, overrides)
    except COMPOSITION_ERRORS as error:
        raise ConfigProblems(
            [explain_composition_error(error, overrides, _known_keys(loader, overrides))]
        ) from error
    return replace(_plan_of_many(loader, expanded, _launcher(base)), command=_command(overrides, multirun))


def _of_all_jobs(loader: Loader, overrides: list[str], mode: RunMode) -> list[str]:
    """Those of a sweep's overrides that its jobs have in common, whatever each of them is.

    Other keys are set in each job alone: one of a group's that is swept over may exist in those alone.
    """
    if mode is RunMode.RUN:
        return overrides
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
    return [
        str(o.input_line)
        for o in parsed
        if o.is_hydra_override()
        or (loader.names_file(o) and not o.is_sweep_override())
        or o.get_key_element() in WITHOUT_EFFECT
    ]


def _command(overrides: Sequence[str], multirun: bool) -> str:
    """What to type to make these runs from their beginning."""
    given = [override for override in overrides if not override.startswith("resume=")]
    return shlex.join(["python", "-m", "rnnlab", *(["-m"] if multirun else []), *given])


def _plan_of_one(config: DictConfig) -> Plan:
    if isinstance(config.pair, ListConfig) and config.pair:
        raise ConfigProblems([f"pair={list(config.pair)}: pairs the axes of a sweep; add -m"])
    overrides = list(config.hydra.overrides.task)
    job = _job(config, 0, overrides, {})
    return Plan(job.folder, [job], False, _raw(config.hydra.run), sweep_name(job.folder), _launcher(config))


class _Composer:
    """Composes the jobs of a sweep.

    Hydra takes 50 to 80 ms to put the chosen files together and next to nothing for values: so that is done
    once for each choice of files, and the values are then set in a copy, 5 ms, as Hydra itself sets them.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._parsed: dict[str, Override] = {}

    def compose(self, overrides: list[str]) -> DictConfig:
        """The configuration of one job."""
        parsed = [self._parse(override) for override in overrides]
        values = [override for override in parsed if not self._loader.names_file(override)]
        files = tuple(str(o.input_line) for o in parsed if o not in values)
        if files not in self._composed:
            self._composed[files] = self._loader.load_configuration(CONFIG_NAME, list(files), RunMode.RUN)
        config = copy.deepcopy(self._composed[files])
        self._loader._apply_overrides_to_config(values, config)
        of_task = [override for override in parsed if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in of_task]
        config.hydra.overrides.hydra = [o.input_line for o in parsed if o.is_hydra_override()]
        with open_dict(config.hydra):
            dirname = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = get_overrides_dirname(of_task, **dirname)
        return config

    def _parse(self, override: str) -> Override:
        if override not in self._parsed:
            parser = OverridesParser.create(config_loader=self._loader)
            self._parsed[override] = parser.parse_override(override)
        return self._parsed[override]


def _plan_of_many(
    loader: Loader,
    expanded: list[list[str]],
    launcher: dict[str, Any] | None,
    folder: Path | None = None,
    first: int = 0,
    swept_keys: Collection[str] | None = None,
) -> Plan:
    composer = _Composer(loader)
    values_by_key: dict[str, set[str]] = {}
    for overrides in expanded:
        for key, value in _pairs(overrides):
            values_by_key.setdefault(key, set()).add(value)
    if swept_keys is None:
        swept_keys = [key for key, values in values_by_key.items() if len(values) > 1]
    jobs: list[Job] = []
    problems: list[str] = []
    pattern = ""
    for number, overrides in enumerate(expanded, first):
        try:
            config = composer.compose(overrides)
            folder = folder or folder_named("hydra.sweep.dir", config.hydra.sweep.dir)
            pattern = pattern or _raw(config.hydra.sweep)
            swept = {key: value for key, value in _pairs(overrides) if key in swept_keys}
            jobs.append(_job(config, number, overrides, swept, folder))
        except COMPOSITION_ERRORS as error:
            problems.append(explain_composition_error(error, overrides, _known_keys(loader, overrides)))
    folder = folder or Path()
    return Plan(folder, jobs, True, pattern, sweep_name(folder), launcher, problems=problems)


def sweep_name(folder: Path) -> str:
    """The name of a command's runs, from its folder's last two parts.

    In letters that MLflow takes in the key of a tag, and no longer than it takes.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{folder.parent.name}_{folder.name}")[-MAX_SWEEP:]


def _raw(place: DictConfig) -> str:
    """The folder of runs or sweeps before its `${…}` are filled in."""
    return str(OmegaConf.to_container(place, resolve=False)["dir"])  # type: ignore[index, call-overload]


def _expand(loader: Loader, base: DictConfig, overrides: list[str]) -> list[list[str]]:
    """The overrides of every job: the product of all axes, those of `hydra.sweeper.params` included.

    The axes that `pair` names are one axis of the product, which runs through their values side by side.
    """
    configured = [f"{key}={value}" for key, value in (base.hydra.sweeper.get("params") or {}).items()]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(configured + overrides)
    axes: dict[str, list[str]] = {}
    for override in parsed:
        values = BasicSweeper.split_arguments([override], None)[0]
        axes[override.get_key_element()] = [value for (value,) in values]
    paired = [str(key) for key in base.pair] if isinstance(base.pair, ListConfig) else []
    together = [key for key in axes if key.lstrip("+") in paired]
    _check_pair(paired, {key.lstrip("+"): len(axes[key]) for key in together})
    groups = [[key] for key in axes if key not in together[1:]]
    groups = [together if group == together[:1] else group for group in groups]
    jobs = prod(len(axes[group[0]]) for group in groups)
    if jobs > MAX_JOBS:
        sizes = " × ".join(f"{key} {len(axes[key])}" for key, *_ in groups if len(axes[key]) > 1)
        raise ConfigProblems([f"{sizes}: are {jobs} runs; a sweep has at most {MAX_JOBS}"])
    product = itertools.product(*(zip(*(axes[key] for key in group), strict=True) for group in groups))
    return [[override for group in job for override in group] for job in product]


def _check_pair(paired: list[str], sizes: dict[str, int]) -> None:
    told = f"pair=[{','.join(paired)}]"
    if len(paired) == 1:
        raise ConfigProblems([f"{told}: must name two axes or more"])
    for key in paired:
        if sizes.get(key, 1) < 2:
            raise ConfigProblems([f"{told}: {key} must have several values, as in {key}=a,b"])
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{key} has {size} values" for key, size in sizes.items())
        raise ConfigProblems([f"{told}: {counts}; each needs as many as the others"])


def _job(
    config: DictConfig,
    number: int,
    overrides: list[str],
    swept: dict[str, str],
    sweep_folder: Path | None = None,
) -> Job:
    choices = _choices(config)
    name = _name(swept, overrides, choices)
    with open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, str(number)
        config.hydra.job.name = re.sub(r"[^A-Za-z0-9=._,+-]+", "_", name)[:MAX_NAME]
    if sweep_folder:
        folder = folder_in_sweep(sweep_folder, config.hydra.sweep.subdir)
    else:
        folder = folder_named("hydra.run.dir", config.hydra.run.dir)
    plain = {
        str(key): OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in config.items()
        if key != "hydra"
    }
    return Job(
        number=number,
        name=name,
        folder=folder,
        config=plain,
        overrides=overrides,
        swept=swept,
        choices=choices,
    )


def _name(swept: dict[str, str], overrides: list[str], choices: dict[str, str]) -> str:
    """`lstm seq_len=50`: what was swept; without a sweep the cell and what was overridden."""
    named = swept
    if not swept:
        given = {
            key: value for key, value in _pairs(overrides) if not key.startswith(("hydra", *WITHOUT_EFFECT))
        }
        named = {"cell": choices.get("cell", "")} | given
    return " ".join(value if key in choices else f"{key}={value}" for key, value in named.items())


def _pairs(overrides: list[str]) -> list[tuple[str, str]]:
    """Overrides as (key, value)."""
    return [(key, value) for key, _, value in (override.partition("=") for override in overrides)]


def _launcher(config: DictConfig) -> dict[str, Any] | None:
    """The keys of the chosen launcher; Hydra's own would be left unused without a word."""
    choice = config.hydra.runtime.choices.get("hydra/launcher")
    if choice == "basic":
        check_plugin(config, "launcher")
        return None
    chosen = config.hydra.launcher
    keys = OmegaConf.to_container(chosen, resolve=True) if isinstance(chosen, DictConfig) else None
    if not isinstance(keys, dict):
        raise ConfigProblems([f"hydra.launcher={chosen}: must hold the keys of hydra/launcher={choice}"])
    if not str(keys.get("_target_")).startswith("rnnlab."):
        allowed = ", ".join(SUPPORTED["hydra/launcher"])
        raise ConfigProblems([f"hydra/launcher={choice}: not supported; allowed: {allowed}"])
    return {str(key): value for key, value in keys.items()}


def _known_keys(loader: Loader, overrides: Sequence[str]) -> Known:
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
    return Known(walk(plain, ""), _choices(config))


def _choices(config: DictConfig) -> dict[str, str]:
    return {
        key: choice
        for key, choice in config.hydra.runtime.choices.items()
        if choice is not None and not key.startswith("hydra/")
    }
