"""What a measurement was made on."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_info


def about(*packages: str) -> dict[str, str | int]:
    """Versions, processor, cores that may be used, and threads of the BLAS."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blas = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "cpu": found[1] if found else platform.processor(),
        "cores": cores,
        "blas_threads": max((pool["num_threads"] for pool in blas), default=1),
    }
