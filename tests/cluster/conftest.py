import os
import socket

import pytest

if not os.environ.get("RNNLAB_CLUSTER"):
    collect_ignore_glob = [
        "test_*"
    ]  # `make test-cluster` installs the requirements of these tests and isolates their network


@pytest.fixture(autouse=True)
def _shut_in_with_services_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Require that the loopback address is the only one, because Ray and others listen on every address."""
    assert [name for _, name in socket.if_nameindex()] == ["lo"], "use `make test-cluster`"
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "SLURM_", "RAY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
