"""What a measurement was made on."""

from importlib.metadata import version

from threadpoolctl import threadpool_info

from rnnlab.app.config.memory_limit import cores
from rnnlab.app.jobs.provenance import machine


def about(*packages: str) -> dict[str, str | int]:
    """Versions, processor, cores that may be used, and threads of the BLAS."""
    here = machine()
    blas = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return {
        "python": here["python"],
        **{package: version(package) for package in packages},
        "cpu": here["cpu"],
        "cores": cores(),
        "blas_threads": max((pool["num_threads"] for pool in blas), default=1),
    }
