"""Every package that the project names is pinned, to versions that it allows."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.surroundings import ROOT


def test_every_package_of_every_extra_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines]
    for extra in (project["dependencies"], *project["optional-dependencies"].values()):
        for needed in map(Requirement, extra):
            own = [pin for pin in pins if canonicalize_name(pin.name) == canonicalize_name(needed.name)]
            assert own, f"{needed.name} is not pinned; run: make lock"
            for pin in own:
                [version] = pin.specifier
                assert version.operator == "==" and needed.specifier.contains(version.version), (needed, pin)
