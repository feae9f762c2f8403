"""Keys that runs of earlier versions do not record, and the values with which those runs were made."""

import json
from collections.abc import Mapping
from typing import Any

from rnnlab.cells import GRU

ONE_LAYER = {"layers": 1, "residual": False}
"""Values of keys with which a run is the same as a run recorded before these keys existed."""
GRU_TARGET = "rnnlab.cells.GRU"


def with_former_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded configuration, with the top-level keys that did not exist when it was recorded."""
    return {"engine": "auto"} | ONE_LAYER | dict(config)


def without_former_values(cell: str) -> str:
    """Return the JSON text of the key `cell`, without keys of a GRU that have their former values."""
    keys = json.loads(cell)
    if not isinstance(keys, dict) or keys.get("_target_") != GRU_TARGET:
        return cell
    kept = {key: value for key, value in keys.items() if GRU.later_keys.get(key) is not value}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)
