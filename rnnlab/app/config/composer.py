"""From the overrides of jobs to the jobs: what each is called, where it goes, what it is."""

import copy
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from rnnlab.app.config.hydra_internals.private_api import override_dirname
from rnnlab.app.config.interpolations import Unresolved, resolved
from rnnlab.app.config.loader import Loader, launcher_of
from rnnlab.app.config.loading import CONFIG_NAME, chosen_options, known_keys
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.config.plan import Job, Plan, job_name, keys_and_values, sweep_name
from rnnlab.app.config.run_paths import folder_in_sweep, folder_named
from rnnlab.app.config.suggestions import Known
from rnnlab.app.config.template import Template, is_plain, plain_value

MAX_NAME = 80


def plan_of_one(config: DictConfig) -> Plan:
    """The plan of a single run from its configuration."""
    if isinstance(config.pair, ListConfig) and config.pair:
        raise ConfigProblems([f"pair={list(config.pair)}: pairs the axes of a sweep; add -m"])
    overrides = list(config.hydra.overrides.task)
    choices = chosen_options(config)
    name = job_name({}, overrides, choices)
    name_job(config, 0, name)
    folder = folder_named("hydra.run.dir", config.hydra.run.dir)
    job = Job(0, name, folder, _plain(config), overrides, {}, choices)
    return Plan(folder, [job], False, _raw(config.hydra.run, "dir"), sweep_name(folder), launcher_of(config))


def plan_of_many(
    loader: Loader,
    jobs: Sequence[Sequence[Override]],
    launcher: dict[str, Any] | None,
    folder: Path | None = None,
    first: int = 0,
    swept_keys: Collection[str] | None = None,
) -> Plan:
    """Compose the jobs of a sweep.

    Args:
        loader: Hydra's.
        jobs: The overrides of each job.
        launcher: The chosen launcher's keys; None for processes on this machine.
        folder: The sweep's; None to take it from the first job's configuration.
        first: The number of the first job.
        swept_keys: The axes; None for the keys whose values differ.
    """
    values: dict[str, set[str]] = {}
    for overrides in jobs:
        for key, value in keys_and_values(map(line_of, overrides)):
            values.setdefault(key, set()).add(value)
    differing = {key for key, different in values.items() if len(different) > 1}
    composer = Composer(loader, differing, differing if swept_keys is None else swept_keys, folder)
    composed: list[Job] = []
    problems: dict[str, None] = {}
    for number, overrides in enumerate(jobs, first):
        if composer.is_refused(overrides):
            continue
        try:
            composed.append(composer.job(number, overrides))
        except (Unresolved, ConfigProblems) as error:
            problems |= dict.fromkeys(composer.refused(overrides, error.problems))
        except COMPOSITION_ERRORS as error:
            lines = [line_of(override) for override in overrides]
            told = explain_composition_error(error, lines, composer.known(overrides))
            problems |= dict.fromkeys(composer.refused(overrides, [told]))
    folder = composer.folder or Path()
    name = sweep_name(folder)
    return Plan(folder, composed, True, composer.pattern, name, launcher, problems=list(problems))


def line_of(override: Override) -> str:
    """An override as it was written."""
    assert override.input_line is not None
    return override.input_line


class Composer:
    """Composes the jobs of a sweep.

    Hydra takes 50 to 80 ms to put the chosen files together and next to nothing for values: so that is done
    once for each choice of files, and values are then set in a copy, as Hydra itself sets them. To copy and
    resolve a configuration takes 10 ms; jobs that differ in plain values alone share that as well.

    Attributes:
        folder: The sweep's, absolute; None until the first job is composed.
        pattern: What it was made from.
    """

    def __init__(
        self,
        loader: Loader,
        differing: Collection[str] = (),
        swept: Collection[str] = (),
        folder: Path | None = None,
    ) -> None:
        """Take what all jobs have in common.

        Args:
            loader: Hydra's.
            differing: Keys, with their prefixes, whose values are not the same in all jobs.
            swept: Keys that name a job.
            folder: The sweep's, if it is known.
        """
        self.folder, self.pattern = folder, ""
        self._loader, self._differing, self._swept = loader, differing, swept
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._known: dict[tuple[str, ...], Known] = {}
        self._templates: dict[tuple[str, ...], Template | None] = {}
        self._shared: dict[str, bool] = {}
        self._refused: set[tuple[str, ...]] = set()

    def job(self, number: int, overrides: Sequence[Override]) -> Job:
        """One job of the sweep.

        Raises:
            Unresolved: It has interpolations that cannot be resolved.
            COMPOSITION_ERRORS: It cannot be composed.
        """
        lines = [line_of(override) for override in overrides]
        pairs = dict(keys_and_values(lines))
        swept = {key: value for key, value in pairs.items() if key in self._swept}
        plain = [o for o in overrides if self._is_plain(o)]
        shared = self._in_common(overrides)
        template = self._templates.get(shared)
        if template is None:
            config = self.compose(overrides)
            with resolved(self._loader, config, lines):
                job = self._job_of(config, number, lines, swept)
            if shared not in self._templates and plain:  # else no other job could be made from it
                base = self._composed[self._files(overrides)]
                values = [override for override in overrides if not self._loader.names_file(override)]
                self._templates[shared] = Template.of(base, config, job, values, plain)
            return job
        name = job_name(swept, lines, template.choices)
        of_job = {override.key_or_group: override.value() for override in plain}

        def changed() -> DictConfig:
            self._loader.set_values(template.config, plain)
            self._note_overrides(template.config, overrides)
            name_job(template.config, number, name)
            return template.config

        with resolved(self._loader, template.config, lines):
            subdir, filled = template.filled(number, folder_name(name), of_job, changed)
        return Job(number, name, self._placed(subdir), filled, lines, swept, template.choices)

    def refused(self, overrides: Sequence[Override], problems: list[str]) -> list[str]:
        """Note what is wrong with a job, and so with all that differ from it in other values alone."""
        own = [override.key_or_group for override in overrides if self._is_plain(override)]
        if not any(key in problem for key in own for problem in problems):
            self._refused.add(self._in_common(overrides))
        return problems

    def is_refused(self, overrides: Sequence[Override]) -> bool:
        """Whether a job has the mistakes of one that was refused before, and of what both have in common."""
        return bool(self._refused) and self._in_common(overrides) in self._refused

    def compose(self, overrides: Sequence[Override]) -> DictConfig:
        """The configuration of one job, as Hydra composes it."""
        files = self._files(overrides)
        if files not in self._composed:
            self._composed[files] = self._loader.load_configuration(CONFIG_NAME, list(files), RunMode.RUN)
        config = copy.deepcopy(self._composed[files])
        values = [override for override in overrides if not self._loader.names_file(override)]
        self._loader.set_values(config, values)
        self._note_overrides(config, overrides)
        return config

    def known(self, overrides: Sequence[Override]) -> Known:
        """What there is to choose from where these files are chosen."""
        files = self._files(overrides)
        if files not in self._known:
            self._known[files] = known_keys(self._loader, files)
        return self._known[files]

    def _files(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        return tuple(line_of(override) for override in overrides if self._loader.names_file(override))

    def _in_common(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        """What jobs share that differ in plain values alone."""
        return tuple(o.key_or_group if self._is_plain(o) else line_of(o) for o in overrides)

    def _is_plain(self, override: Override) -> bool:
        """Whether it sets a plain value that differs between jobs, so that these have all else in common."""
        line = line_of(override)
        if line not in self._shared:
            differs = override.get_key_element() in self._differing
            self._shared[line] = differs and is_plain(override) and not self._loader.names_file(override)
        return self._shared[line]

    def _note_overrides(self, config: DictConfig, overrides: Sequence[Override]) -> None:
        """Write down in Hydra's own node what was overridden."""
        of_task = [override for override in overrides if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in of_task]
        config.hydra.overrides.hydra = [o.input_line for o in overrides if o.is_hydra_override()]
        with open_dict(config.hydra):
            settings = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = override_dirname(of_task, settings)

    def _job_of(self, config: DictConfig, number: int, lines: list[str], swept: dict[str, str]) -> Job:
        self.folder = self.folder or folder_named("hydra.sweep.dir", config.hydra.sweep.dir)
        self.pattern = self.pattern or _raw(config.hydra.sweep, "dir")
        choices = chosen_options(config)
        name = job_name(swept, lines, choices)
        name_job(config, number, name)
        folder = self._placed(config.hydra.sweep.subdir)
        return Job(number, name, folder, _plain(config), lines, swept, choices)

    def _placed(self, subdir: str) -> Path:
        """A run's folder in the sweep's."""
        assert self.folder is not None
        return folder_in_sweep(self.folder, subdir)


def parsed_jobs(loader: Loader, jobs: Sequence[Sequence[str]]) -> list[tuple[Override, ...]]:
    """The overrides of jobs from their lines."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = {line: parser.parse_override(line) for line in {line for job in jobs for line in job}}
    return [tuple(parsed[line] for line in job) for job in jobs]


def folder_name(name: str) -> str:
    """A job's name in letters that any disk takes."""
    return re.sub(r"[^A-Za-z0-9=._,+-]+", "_", name)[:MAX_NAME]


def name_job(config: DictConfig, number: int, name: str) -> None:
    """Write into Hydra's own node which job this is."""
    with open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, str(number)
        config.hydra.job.name = folder_name(name)


def _plain(config: DictConfig) -> dict[str, Any]:
    """The configuration without Hydra's node, resolved."""
    return {str(key): plain_value(config, key) for key in config if key != "hydra"}


def _raw(place: DictConfig, key: str) -> str:
    """A folder of Hydra's before its `${…}` are filled in."""
    return str(OmegaConf.to_container(place, resolve=False)[key])  # type: ignore[index, call-overload]
