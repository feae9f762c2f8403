"""The entry points of this checkout, for commands whose environment holds another version of rnnlab."""

import tomllib
from pathlib import Path

from tests.surroundings import ROOT


def declare(folder: Path) -> str:
    """Write the project's metadata to a folder, and return the PYTHONPATH of this checkout with its metadata.

    The metadata contain the entry points of `pyproject.toml`, as an installation of this checkout would have.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = {"console_scripts": project["scripts"]} | project["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return f"{folder}:{ROOT}"
