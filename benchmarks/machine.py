"""Description of the machine and of the package versions."""

from importlib.metadata import version

from threadpoolctl import threadpool_info

from rnnlab.app.config.memory_limit import cores
from rnnlab.app.jobs.provenance import machine


def about(*packages: str) -> dict[str, str | int]:
    """Return package versions, processor, number of available cores, and number of BLAS threads."""
    facts = machine()
    blas = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return {
        "python": facts["python"],
        **{package: version(package) for package in packages},
        "cpu": facts["cpu"],
        "cores": cores(),
        "blas_threads": max((pool["num_threads"] for pool in blas), default=1),
    }
