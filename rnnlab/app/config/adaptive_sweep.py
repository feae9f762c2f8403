"""A sweep that is not known beforehand: its sweeper asks for a few jobs at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from rnnlab.app.config.composer import parsed_jobs, plan_of_many
from rnnlab.app.config.loader import Loader, launcher_of
from rnnlab.app.config.plan import Plan, format_command
from rnnlab.app.config.run_paths import folder_named


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
        jobs = parsed_jobs(self.loader, [of_hydra + list(job) for job in batch])
        folder = folder_named("hydra.sweep.dir", self.config.hydra.sweep.dir)
        plan = plan_of_many(self.loader, jobs, launcher_of(self.config), folder, first, swept)
        return replace(
            plan, is_continuation=first > 0, command=format_command(of_hydra + self.arguments, True)
        )
