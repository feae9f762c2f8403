import pytest

from tests.fuzz.amount import TIMES, tried


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TIMES:
        terminalreporter.section("tried")
        for what, number in sorted(tried.items()):
            terminalreporter.line(f"{number:7} {what}")
        terminalreporter.line(f"{tried.total():7} in all")
