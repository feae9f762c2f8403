"""Tests of the content of the built package, which must run from any folder without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.processes import TINY
from tests.surroundings import ROOT

DATA = ("rnnlab/py.typed", "rnnlab/tasks/data/sonnets.txt", "rnnlab/tasks/data/README.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def test_holds_the_whole_configuration_and_the_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {f"rnnlab/{file.relative_to(ROOT)}" for file in (ROOT / "conf").rglob("*.yaml")}
    assert len(conf) > 10
    assert conf | set(DATA) <= names


@pytest.mark.parametrize("command", [[sys.executable, "-P", "-m", "rnnlab"], ["bin/rnnlab"]])
def test_runs_from_an_empty_folder(command: list[str], installed: Path, tmp_path: Path) -> None:
    settings = os.environ | {"PYTHONPATH": str(installed)}
    if command == ["bin/rnnlab"]:
        command = [str(installed / command[0])]
    show = [sys.executable, "-P", "-c", "import rnnlab.paths; print(rnnlab.paths.conf_dir())"]
    found = subprocess.run(show, cwd=tmp_path, env=settings, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == installed / "rnnlab" / "conf"
    done = subprocess.run(
        [*command, "cell=lstm", *TINY, "tracking=none"],
        cwd=tmp_path,
        env=settings,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.glob("outputs/*/*/weights.safetensors"))


def test_an_editable_install_copies_no_configuration(tmp_path: Path) -> None:
    """A copy in site-packages would become outdated without any error."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel:editable"]
    subprocess.run([*command, "--directory", str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert any(name.endswith(".pth") for name in names)
    assert not any(name.endswith(".yaml") for name in names)
