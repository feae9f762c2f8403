"""Adaptive sweep, in which each batch of jobs depends on the results of earlier batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from rnnlab.app.config.composer import line_of, parse_jobs, plan_sweep
from rnnlab.app.config.loader import Loader, launcher_keys
from rnnlab.app.config.plan import Plan, format_command
from rnnlab.app.config.run_paths import resolve_folder


@dataclass(frozen=True)
class AdaptiveSweep:
    """Sweep whose jobs are chosen according to the results of earlier jobs.

    Attributes:
        loader: Hydra's configuration loader.
        config: Configuration whose node `hydra.sweeper` contains the keys of the sweeper.
        arguments: Command-line arguments that define the search space.
    """

    loader: Loader
    config: DictConfig
    arguments: list[str]

    @property
    def axes(self) -> list[str]:
        """Keys of the sweep axes."""
        axes = [override.get_key_element() for override in self._overrides() if override.is_sweep_override()]
        return axes + list(self.config.hydra.sweeper.get("params") or {})

    def fixed_part(self) -> Plan:
        """Return the plan of one job that has only the overrides shared by all jobs of the sweep."""
        return self.plan([[line_of(o) for o in self._overrides() if not o.is_sweep_override()]], 0)

    def plan(self, batch: Sequence[Sequence[str]], first: int) -> Plan:
        """Return the plan for the next batch of jobs; all batches share one sweep folder."""
        hydra_overrides = list(self.config.hydra.overrides.hydra)
        jobs = parse_jobs(self.loader, [hydra_overrides + list(job) for job in batch])
        folder = resolve_folder("hydra.sweep.dir", self.config.hydra.sweep.dir)
        plan = plan_sweep(self.loader, jobs, launcher_keys(self.config), folder, first, self.axes)
        return replace(
            plan, is_continuation=first > 0, command=format_command(hydra_overrides + self.arguments, True)
        )

    def _overrides(self) -> list[Override]:
        return OverridesParser.create(config_loader=self.loader).parse_overrides(self.arguments)
