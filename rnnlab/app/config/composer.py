"""Derivation of the name, folder and configuration of each job from its overrides."""

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
from rnnlab.app.config.interpolations import InterpolationProblems, explain_interpolation_errors
from rnnlab.app.config.loader import Loader, launcher_keys
from rnnlab.app.config.loading import CONFIG_NAME, chosen_options, key_index
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.config.plan import Job, Plan, job_name, keys_and_values, sweep_name
from rnnlab.app.config.run_paths import folder_in_sweep, resolve_folder
from rnnlab.app.config.suggestions import KeyIndex
from rnnlab.app.config.template import Template, is_plain, plain_value

MAX_NAME = 80
"""Maximum length of a folder name derived from a job name, in characters."""
MAX_PROBLEMS = 50
"""Number of problems after which no further jobs are composed."""


def plan_single_run(config: DictConfig) -> Plan:
    """Create the plan for a single run from its configuration."""
    if isinstance(config.pair, ListConfig) and config.pair:
        raise ConfigProblems([f"pair={list(config.pair)}: applies only to the axes of a sweep; add -m"])
    overrides = list(config.hydra.overrides.task)
    choices = chosen_options(config)
    name = job_name({}, overrides, choices)
    name_job(config, 0, name)
    folder = resolve_folder("hydra.run.dir", config.hydra.run.dir)
    job = Job(0, name, folder, _plain_config(config), overrides, {}, choices)
    pattern = _raw_folder(config.hydra.run, "dir")
    return Plan(folder, [job], False, pattern, sweep_name(folder), launcher_keys(config))


def plan_sweep(
    loader: Loader,
    jobs: Sequence[Sequence[Override]],
    launcher: dict[str, Any] | None,
    folder: Path | None = None,
    first: int = 0,
    sweep_keys: Collection[str] | None = None,
) -> Plan:
    """Compose the jobs of a sweep.

    Args:
        loader: Hydra's configuration loader.
        jobs: Overrides of each job.
        launcher: Configuration of the chosen launcher; None selects processes on this machine.
        folder: Sweep folder; None selects the folder configured in the first job.
        first: Number of the first job.
        sweep_keys: Axes of the sweep; None selects the keys whose values differ between jobs.
    """
    values: dict[str, set[str]] = {}
    for overrides in jobs:
        for key, value in keys_and_values(map(line_of, overrides)):
            values.setdefault(key, set()).add(value)
    varying_keys = {key for key, alternatives in values.items() if len(alternatives) > 1}
    composer = Composer(loader, varying_keys, varying_keys if sweep_keys is None else sweep_keys, folder)
    composed_jobs: list[Job] = []
    problems: dict[str, None] = {}
    for number, overrides in enumerate(jobs, first):
        if len(problems) >= MAX_PROBLEMS:
            break
        if composer.is_refused(overrides):
            continue
        try:
            composed_jobs.append(composer.job(number, overrides))
        except (InterpolationProblems, ConfigProblems) as error:
            problems |= dict.fromkeys(composer.record_refusal(overrides, error.problems))
        except COMPOSITION_ERRORS as error:
            lines = [line_of(override) for override in overrides]
            message = explain_composition_error(error, lines, composer.key_index(overrides))
            problems |= dict.fromkeys(composer.record_refusal(overrides, [message]))
    folder = composer.folder or Path()
    name = sweep_name(folder)
    return Plan(folder, composed_jobs, True, composer.pattern, name, launcher, problems=list(problems))


def line_of(override: Override) -> str:
    """Return an override as the user wrote it."""
    assert override.input_line is not None
    return override.input_line


class Composer:
    """Composer that creates the jobs of a sweep from overrides.

    Hydra takes 50 to 80 ms to merge the chosen configuration files, but almost no time to set values. The
    composer merges each combination of files only once and then sets the values in a copy, with the same
    result as in Hydra. Copying and resolving a configuration takes 10 ms, so the composer creates only one
    resolved configuration for all jobs that differ only in literal values.

    Attributes:
        folder: Absolute path of the sweep folder; None until the first job has been composed.
        pattern: Folder pattern, with unresolved interpolations, from which Hydra derived `folder`.
    """

    def __init__(
        self,
        loader: Loader,
        varying_keys: Collection[str] = (),
        sweep_keys: Collection[str] = (),
        folder: Path | None = None,
    ) -> None:
        """Create a composer from the data shared by all jobs.

        Args:
            loader: Hydra's configuration loader.
            varying_keys: Keys whose values differ between jobs, written with any prefix such as `+`.
            sweep_keys: Axes of the sweep, which appear in job names.
            folder: Sweep folder, or None if the first job determines it.
        """
        self.folder, self.pattern = folder, ""
        self._loader, self._varying_keys, self._sweep_keys = loader, varying_keys, sweep_keys
        self._base_configs: dict[tuple[str, ...], DictConfig] = {}
        self._key_indices: dict[tuple[str, ...], KeyIndex] = {}
        self._templates: dict[tuple[str, ...], Template | None] = {}
        self._plain_lines: dict[str, bool] = {}
        self._refusals: set[tuple[str, ...]] = set()

    def job(self, number: int, overrides: Sequence[Override]) -> Job:
        """Compose one job of the sweep.

        Raises:
            InterpolationProblems: If the job has interpolations that cannot be resolved.
            COMPOSITION_ERRORS: If the job cannot be composed.
        """
        lines = [line_of(override) for override in overrides]
        values = dict(keys_and_values(lines))
        sweep_values = {key: value for key, value in values.items() if key in self._sweep_keys}
        plain = [o for o in overrides if self._is_plain(o)]
        common = self._common_part(overrides)
        template = self._templates.get(common)
        if template is None:
            config = self.compose(overrides)
            with explain_interpolation_errors(self._loader, config, lines):
                job = self._job_from_config(config, number, lines, sweep_values)
            if common not in self._templates and plain:  # else no other job can share it
                base = self._base_configs[self._files(overrides)]
                settings = [override for override in overrides if not self._loader.names_file(override)]
                self._templates[common] = Template.from_job(base, config, job, settings, plain)
            return job
        name = job_name(sweep_values, lines, template.choices)
        plain_values = {override.key_or_group: override.value() for override in plain}

        def apply_values() -> DictConfig:
            self._loader.set_values(template.config, plain)
            self._record_overrides(template.config, overrides)
            name_job(template.config, number, name)
            return template.config

        with explain_interpolation_errors(self._loader, template.config, lines):
            subdir, config_data = template.fill(number, folder_name(name), plain_values, apply_values)
        folder = self._run_folder(subdir)
        return Job(number, name, folder, config_data, lines, sweep_values, template.choices)

    def record_refusal(self, overrides: Sequence[Override], problems: list[str]) -> list[str]:
        """Reject a job and, unless a literal is invalid, all jobs that differ from it only in literals."""
        keys = [override.key_or_group for override in overrides if self._is_plain(override)]
        if not any(key in problem for key in keys for problem in problems):
            self._refusals.add(self._common_part(overrides))
        return problems

    def is_refused(self, overrides: Sequence[Override]) -> bool:
        """Return True if a job differs only in literal values from a job that was already rejected."""
        return bool(self._refusals) and self._common_part(overrides) in self._refusals

    def compose(self, overrides: Sequence[Override]) -> DictConfig:
        """Return the configuration that Hydra would compose for one job."""
        files = self._files(overrides)
        if files not in self._base_configs:
            self._base_configs[files] = self._loader.load_configuration(CONFIG_NAME, list(files), RunMode.RUN)
        config = copy.deepcopy(self._base_configs[files])
        values = [override for override in overrides if not self._loader.names_file(override)]
        self._loader.set_values(config, values)
        self._record_overrides(config, overrides)
        return config

    def key_index(self, overrides: Sequence[Override]) -> KeyIndex:
        """Return all keys of the configuration files chosen by the overrides."""
        files = self._files(overrides)
        if files not in self._key_indices:
            self._key_indices[files] = key_index(self._loader, files)
        return self._key_indices[files]

    def _files(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        return tuple(line_of(override) for override in overrides if self._loader.names_file(override))

    def _common_part(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        """Return the part of the overrides that is shared by all jobs that differ only in literal values."""
        return tuple(o.key_or_group if self._is_plain(o) else line_of(o) for o in overrides)

    def _is_plain(self, override: Override) -> bool:
        """Return True if an override sets a literal value that differs between jobs."""
        line = line_of(override)
        if line not in self._plain_lines:
            varies = override.get_key_element() in self._varying_keys
            self._plain_lines[line] = varies and is_plain(override) and not self._loader.names_file(override)
        return self._plain_lines[line]

    def _record_overrides(self, config: DictConfig, overrides: Sequence[Override]) -> None:
        """Store the overrides in the `hydra` node."""
        task_overrides = [override for override in overrides if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in task_overrides]
        config.hydra.overrides.hydra = [o.input_line for o in overrides if o.is_hydra_override()]
        with open_dict(config.hydra):
            settings = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = override_dirname(task_overrides, settings)

    def _job_from_config(
        self, config: DictConfig, number: int, lines: list[str], sweep_values: dict[str, str]
    ) -> Job:
        self.folder = self.folder or resolve_folder("hydra.sweep.dir", config.hydra.sweep.dir)
        self.pattern = self.pattern or _raw_folder(config.hydra.sweep, "dir")
        choices = chosen_options(config)
        name = job_name(sweep_values, lines, choices)
        name_job(config, number, name)
        folder = self._run_folder(config.hydra.sweep.subdir)
        return Job(number, name, folder, _plain_config(config), lines, sweep_values, choices)

    def _run_folder(self, subdir: str) -> Path:
        assert self.folder is not None
        return folder_in_sweep(self.folder, subdir)


def parse_jobs(loader: Loader, jobs: Sequence[Sequence[str]]) -> list[tuple[Override, ...]]:
    """Parse the overrides of all jobs, parsing each distinct override only once."""
    parser = OverridesParser.create(config_loader=loader)
    overrides = {line: parser.parse_override(line) for line in {line for job in jobs for line in job}}
    return [tuple(overrides[line] for line in job) for job in jobs]


def folder_name(name: str) -> str:
    """Return a job's folder name, which contains only characters accepted by every file system."""
    return re.sub(r"[^A-Za-z0-9=._,+-]+", "_", name)[:MAX_NAME]


def name_job(config: DictConfig, number: int, name: str) -> None:
    """Store the number and name of a job in the `hydra` node."""
    with open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id = number, str(number)
        config.hydra.job.name = folder_name(name)


def _plain_config(config: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration without the `hydra` node."""
    return {str(key): plain_value(config, key) for key in config if key != "hydra"}


def _raw_folder(node: DictConfig, key: str) -> str:
    """Return one of Hydra's folder patterns without resolving interpolations (`${…}`)."""
    return str(OmegaConf.to_container(node, resolve=False)[key])  # type: ignore[index, call-overload]
