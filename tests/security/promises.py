"""The promises of SECURITY.md, and a decorator for the tests that check them."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.surroundings import ROOT

PROMISES = re.findall(r"^- \*\*([a-z-]+)\*\*:", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.M)
Test = TypeVar("Test", bound=Callable[..., object])


def keeps(promise: str) -> Callable[[Test], Test]:
    """Mark a test that fails when the promise is broken."""
    assert promise in PROMISES
    return lambda test: test


def kept() -> Iterator[str]:
    """Yield the promise of each marked test."""
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "keeps":
                        yield ast.literal_eval(mark.args[0])
