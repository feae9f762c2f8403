"""Which code, on which machine, made a run."""

import platform
import socket
import subprocess
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

PACKAGES = ("numpy", "hydra-core", "mlflow", "pandas", "pyarrow", "safetensors")


@dataclass(frozen=True)
class Code:
    """The code of this process.

    Attributes:
        tags: `rnnlab_version`, and `git_commit` (with `-dirty`) when the package runs from a checkout.
        diff: What the checkout has changed since its commit, empty if nothing.
    """

    tags: dict[str, str]
    diff: str


@cache
def code() -> Code:
    """Asks git, where there is one."""
    tags, diff = {"rnnlab_version": __version__}, ""
    with suppress(OSError, subprocess.CalledProcessError):
        commit = _git("rev-parse", "HEAD").strip()
        _git("ls-files", "--error-unmatch", "__init__.py")  # else it is another project's checkout
        diff = _git("diff", "HEAD", "--", "..")
        tags["git_commit"] = commit + ("-dirty" if diff else "")
    return Code(tags, diff)


@cache
def machine() -> dict[str, Any]:
    """Host, CPU, Python, package versions and BLAS of this process."""
    np.dot(np.ones(2), np.ones(2))  # a library that was not used yet may not be loaded
    blas: dict[str, Any] = next(
        (library for library in threadpool_info() if library["user_api"] == "blas"), {}
    )
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "blas": {key: blas.get(key) for key in ("internal_api", "version", "architecture")},
    }


def _cpu() -> str:
    """The processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True)
    return done.stdout
