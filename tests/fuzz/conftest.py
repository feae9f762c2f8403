from typing import Any

import pytest

from tests.fuzz.amount import TIMES, tried


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the counts of a pytest-xdist worker that has ended."""
    tried.update(getattr(node, "workeroutput", {}).get("tried", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tried"] = dict(tried)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TIMES:
        terminalreporter.section("tried")
        for what, number in sorted(tried.items()):
            terminalreporter.line(f"{number:7} {what}")
        terminalreporter.line(f"{tried.total():7} in all")
