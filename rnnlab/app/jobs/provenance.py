"""Provenance of a run: the code and the machine that produced it."""

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from rnnlab import __version__
from rnnlab.paths import PACKAGE
from rnnlab.runs.host_identity import host

PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--binary")
PARTS = (".", "../conf")
"""Folders whose untracked files are recorded as part of a run's code; paths are relative to the package."""
PACKAGES = ("numpy", "hydra-core", "mlflow", "pandas", "pyarrow", "safetensors")


@dataclass(frozen=True)
class Code:
    """Version of the source code that this process runs.

    Attributes:
        tags: `rnnlab_version` and, in a Git checkout, `git_commit` (with the suffix `-dirty` if
            there are uncommitted changes).
        diff: Diff of the uncommitted changes in the checkout, including new files; empty if there are no
            changes.
    """

    tags: dict[str, str]
    diff: str


@cache
def code() -> Code:
    """Return rnnlab's version and, in a Git checkout, the commit and the uncommitted changes."""
    tags, diff = {"rnnlab_version": __version__}, ""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git("rev-parse", "HEAD").strip()
        _git("ls-files", "--error-unmatch", "__init__.py")  # fails in the checkout of another project
        diff = _git("diff", *PLAIN, "HEAD", "--", "..")
        for path in _git("ls-files", "--others", "--exclude-standard", "--", *PARTS).splitlines():
            diff += _git("diff", *PLAIN, "--no-index", "--", os.devnull, path, codes=(0, 1))
        tags["git_commit"] = commit + ("-dirty" if diff else "")
    return Code(tags, diff)


@cache
def machine() -> dict[str, Any]:
    """Return the host, CPU, Python version, package versions and BLAS library of this process."""
    np.dot(np.ones(2), np.ones(2))  # forces the BLAS library to load
    blas: dict[str, Any] = next(
        (library for library in threadpool_info() if library["user_api"] == "blas"), {}
    )
    return {
        "host": host(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "blas": {key: blas.get(key) for key in ("internal_api", "version", "architecture")},
    }


def _cpu() -> str:
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    process = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, check=False)
    if process.returncode not in codes:
        raise subprocess.CalledProcessError(process.returncode, "git")
    return process.stdout.decode(errors="replace")
