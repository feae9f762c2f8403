"""From the overrides of jobs to the jobs: what each is called, where it goes, what it is."""

import copy
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from rnnlab.app.loading import CONFIG_NAME, chosen_options, known_keys
from rnnlab.app.plan import Job, Plan, job_name, keys_and_values, sweep_name
from rnnlab.app.problems import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.trust import Loader, launcher_of
from rnnlab.tracking.files import is_inside

MAX_NAME = 80


def plan_of_one(config: DictConfig) -> Plan:
    """The plan of a single run from its configuration."""
    if isinstance(config.pair, ListConfig) and config.pair:
        raise ConfigProblems([f"pair={list(config.pair)}: pairs the axes of a sweep; add -m"])
    overrides = list(config.hydra.overrides.task)
    job = _job(config, 0, overrides, {})
    return Plan(job.folder, [job], False, _raw(config.hydra.run), sweep_name(job.folder), launcher_of(config))


class Composer:
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


def plan_of_many(
    loader: Loader,
    expanded: list[list[str]],
    launcher: dict[str, Any] | None,
    folder: Path | None = None,
    first: int = 0,
    swept_keys: Collection[str] | None = None,
) -> Plan:
    """Compose the jobs of a sweep.

    Args:
        loader: Hydra's.
        expanded: The overrides of each job.
        launcher: The chosen launcher's keys; None for processes on this machine.
        folder: The sweep's; None to take it from the first job's configuration.
        first: The number of the first job.
        swept_keys: The axes; None for the keys whose values differ.
    """
    composer = Composer(loader)
    values_by_key: dict[str, set[str]] = {}
    for overrides in expanded:
        for key, value in keys_and_values(overrides):
            values_by_key.setdefault(key, set()).add(value)
    if swept_keys is None:
        swept_keys = [key for key, values in values_by_key.items() if len(values) > 1]
    jobs: list[Job] = []
    problems: list[str] = []
    pattern = ""
    for number, overrides in enumerate(expanded, first):
        try:
            config = composer.compose(overrides)
            folder = folder or Path(config.hydra.sweep.dir).absolute()
            pattern = pattern or _raw(config.hydra.sweep)
            swept = {key: value for key, value in keys_and_values(overrides) if key in swept_keys}
            jobs.append(_job(config, number, overrides, swept, folder))
        except COMPOSITION_ERRORS as error:
            problems.append(explain_composition_error(error, overrides, known_keys(loader, overrides)))
    folder = folder or Path()
    return Plan(folder, jobs, True, pattern, sweep_name(folder), launcher, problems=problems)


def _raw(place: DictConfig) -> str:
    """The folder of runs or sweeps before its `${…}` are filled in."""
    return str(OmegaConf.to_container(place, resolve=False)["dir"])  # type: ignore[index, call-overload]


def _job(
    config: DictConfig,
    number: int,
    overrides: list[str],
    swept: dict[str, str],
    sweep_folder: Path | None = None,
) -> Job:
    choices = chosen_options(config)
    name = job_name(swept, overrides, choices)
    with open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, str(number)
        config.hydra.job.name = re.sub(r"[^A-Za-z0-9=._,+-]+", "_", name)[:MAX_NAME]
    folder = Path(config.hydra.sweep.subdir if sweep_folder else config.hydra.run.dir)
    if sweep_folder and not is_inside(folder):
        raise ConfigProblems([f"hydra.sweep.subdir={folder}: must be inside of the sweep's folder"])
    folder = (sweep_folder or Path()) / folder
    plain = {
        str(key): OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key, value in config.items()
        if key != "hydra"
    }
    return Job(
        number=number,
        name=name,
        folder=folder.absolute(),
        config=plain,
        overrides=overrides,
        swept=swept,
        choices=choices,
    )
