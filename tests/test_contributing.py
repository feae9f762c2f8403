"""The files of CONTRIBUTING.md are written and its commands are run, in a copy of the package."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.processes import Done, run
from tests.surroundings import ROOT, environment

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCED = re.compile(
    r"(?:^`(?P<file>(?:rnnlab|conf)/[^`\n]+\.\w+)`[^\n]*:\n\n)?^```(?P<kind>\w+)\n(?P<content>.*?)^```$",
    re.M | re.S,
)
COPIED = ("rnnlab", "conf", "pyproject.toml")


@dataclass(frozen=True)
class Section:
    files: dict[str, str]
    commands: list[list[str]]


@cache
def section(heading: str) -> Section:
    _, _, rest = TEXT.partition(f"\n## {heading}\n")
    blocks = list(FENCED.finditer(rest.partition("\n## ")[0]))
    files = {block["file"]: block["content"] for block in blocks if block["file"]}
    lines = [line for block in blocks if block["kind"] == "sh" for line in block["content"].splitlines()]
    assert len(files) == 2 and len(blocks) == 3  # every block is a file or a list of commands
    return Section(files, [shlex.split(line) for line in lines])


class Copy:
    """Copy of the package in a separate folder, with the files that a section adds."""

    def __init__(self, folder: Path) -> None:
        self.package, self.here = folder / "copy", folder / "here"
        self.package.mkdir()
        self.here.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.package / name)

    def follow(self, heading: str) -> list[Done]:
        instructions = section(heading)
        for name, content in instructions.files.items():
            assert not (ROOT / name).exists()
            (self.package / name).write_text(content, encoding="utf-8")
        return [self.run(*command) for command in instructions.commands]

    def run(self, python: str, m: str, module: str, *arguments: str) -> Done:
        assert (python, m) == ("python", "-m")
        done = run(self.here, *arguments, module=module, PYTHONPATH=str(self.package))
        assert (done.code, done.err) == (0, "")
        return done

    def check_style(self, heading: str) -> None:
        files = [name for name in section(heading).files if name.endswith(".py")]
        for command in (["check"], ["format", "--check"]):
            ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *files]
            done = subprocess.run(ruff, cwd=self.package, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_cell(copy: Copy) -> None:
    checked, trained = copy.follow("Adding a cell")
    assert (
        checked.out.count(" correct") > 20 and "WRONG" not in checked.out and "undecided" not in checked.out
    )
    (folder,) = trained.runs.values()
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["cell"] == {"_target_": "rnnlab.cells.leaky.Leaky", "leak": 0.5, "bias": True}
    gradients = pd.read_parquet(folder / "gradients.parquet")
    assert (gradients["quantity"] == "h").any()
    copy.check_style("Adding a cell")


PEEPHOLE = ROOT / "tests" / "cells" / "peephole.py"


def test_a_peephole_lstm_is_one_module_and_one_yaml_file(copy: Copy) -> None:
    shutil.copy(PEEPHOLE, copy.package / "rnnlab" / "cells")
    group = "_target_: rnnlab.cells.peephole.Peephole\nbias: true\n"
    (copy.package / "conf" / "cell" / "peephole.yaml").write_text(group, encoding="utf-8")
    check = ("python", "-m", "rnnlab.gradcheck", "cell=peephole", "seq_len=5", "hidden_size=4")
    checked = copy.run(*check)
    names = {line.split()[0] for line in checked.out.splitlines() if line.endswith(" correct")}
    assert {"W_xh", "W_hh", "b_h", "p_i", "p_f", "p_o", "c[0]"} <= names
    assert {name for name in names if name.startswith("b_")} == {"b_h", "b_y"}  # one bias per gate
    assert "WRONG" not in checked.out
    trained = copy.run("python", "-m", "rnnlab", "cell=peephole", "steps=3", "seq_len=12", "tracking=none")
    (folder,) = trained.runs.values()
    assert {"h", "c", "dW_hh.f", "forget_product"} <= set(
        pd.read_parquet(folder / "gradients.parquet")["quantity"]
    )
    assert (folder / "figures" / "contributions.png").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("carried: ClassVar", "kept: ClassVar"), "cell: Peephole.step_equations: takes 8 arguments ("),
        (("states: ClassVar", "names: ClassVar"), "Peephole.states: missing; names the states of the cell"),
    ],
)
def test_a_missing_declaration_is_reported_in_one_line(
    copy: Copy, change: tuple[str, str], message: str
) -> None:
    text = PEEPHOLE.read_text(encoding="utf-8")
    assert change[0] in text
    (copy.package / "rnnlab" / "cells" / "peephole.py").write_text(text.replace(*change, 1), encoding="utf-8")
    group = "_target_: rnnlab.cells.peephole.Peephole\nbias: true\n"
    (copy.package / "conf" / "cell" / "peephole.yaml").write_text(group, encoding="utf-8")
    refused = run(copy.here, "cell=peephole", "tracking=none", PYTHONPATH=str(copy.package))
    assert refused.code == 2 and message in refused.err and refused.err.count("\n") == 1, refused.err


def test_a_task(copy: Copy) -> None:
    shown, trained = copy.follow("Adding a task")
    assert "evidence, seq_len=12" in shown.out and "example 2" in shown.out
    assert "val/error_rate, baseline 0.5" in shown.out
    numbers = [
        [float(word) for word in line.split()[1:]]
        for line in shown.out.splitlines()
        if line.startswith("evidence  ")
    ]
    answers = [line.split()[-1] for line in shown.out.splitlines() if line.startswith("target")]
    assert answers == ["+" if sum(sequence) > 0 else "-" for sequence in numbers] and len(answers) == 2
    (folder,) = trained.runs.values()
    assert json.loads((folder / "run.json").read_text())["goal"]["metric"] == "val/error_rate"
    copy.check_style("Adding a task")


def test_a_measurement(copy: Copy) -> None:
    (measured,) = copy.follow("Adding a measurement")
    (folder,) = measured.runs.values()
    gradients = pd.read_parquet(folder / "gradients.parquet").query("quantity == 'h_small' and step == 0")
    assert gradients["timestep"].tolist() == list(range(1, 13))
    first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert first["own/small"] == pytest.approx(gradients["mean"].mean()) and 0 < first["own/small"] < 1
    assert (
        yaml.safe_load((folder / "config.yaml").read_text())["probe"]["measurements"]["sparsity"]["threshold"]
        == 0.05
    )
    key = "probe.measurements.sparsity.threshold"
    refused = run(copy.here, "+measurement=sparsity", f"{key}=0", PYTHONPATH=str(copy.package))
    assert (refused.code, refused.err) == (2, f"rnnlab: {key}=0: must be greater than 0\n")
    copy.check_style("Adding a measurement")
