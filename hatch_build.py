"""Build hook that adds the top-level folder `conf/` to the wheel as `rnnlab/conf`.

A `force-include` table would also copy the files into site-packages on an editable install. These copies
would become stale, because an editable install reads `conf/` from the checkout.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfInWheel(BuildHookInterface[Any]):
    """Hook that includes `conf/` in standard wheels and excludes it from editable wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add `conf/` to the files of a standard wheel."""
        if version == "standard":
            build_data["force_include"]["conf"] = "rnnlab/conf"
