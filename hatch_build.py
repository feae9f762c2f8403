"""Puts the top-level `conf/` into the wheel as `rnnlab/conf`.

A hook and not a `force-include` table: an editable install would copy the table's files into
site-packages, where they go stale, while the checkout's own `conf/` is the one that is read.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfInWheel(BuildHookInterface[Any]):
    """Includes `conf/` in standard wheels and leaves it out of editable ones."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to what the wheel holds."""
        if version == "standard":
            build_data["force_include"]["conf"] = "rnnlab/conf"
