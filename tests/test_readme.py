"""What the README shows works."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_cells_own_code() -> None:
    section = README.split("## In your own code")[1].split("\n## ")[0]
    code = dedent("\n".join(re.findall(r"^(?: {4}.*|)$", section, re.MULTILINE)))
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["tape"].states["h"].shape == (51, 8, 4)
    assert names["deltas"].total["c"].any() and names["step"].after["h"].any()
