"""Only `rnnlab.app.config.hydra_internals` depends on private names and messages of Hydra and OmegaConf."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from omegaconf import AnyNode, DictConfig, ListConfig

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.app.config.hydra_internals.private_api import FileReader, HydraLoader, HydraWithoutLogging

APP = Path(__file__, "../../../rnnlab/app").resolve()
FILES = [file for file in sorted(APP.rglob("*.py")) if file.parent.name != "hydra_internals"]
THEIRS = (Override, JobReturn, AnyNode, DictConfig, ListConfig, FileReader, HydraLoader, HydraWithoutLogging)
PRIVATE = {name for cls in THEIRS for name in (*dir(cls), *getattr(cls, "__dataclass_fields__", ()))}
PRIVATE = {name for name in PRIVATE if re.match(r"_[a-z]", name)}
ENGLISH = re.compile(r"[A-Za-z'-]{2,}(?: [A-Za-z'-]{2,})+")
MATCHING = {"match", "fullmatch", "search", "findall", "compile", "split", "partition", "rpartition", "startswith", "endswith", "find", "index", "removeprefix", "removesuffix"}  # fmt: skip


def relative(file: Path) -> str:
    return str(file.relative_to(APP))


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every attribute, keyword and method of a file with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value.lineno
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node.lineno


def texts(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every string of a file except docstrings, with its line."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value, node.lineno


def matched(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield every string that a file searches for in another string, with its line."""
    for node in ast.walk(tree):
        places: list[ast.expr] = []
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            places = [node.left]
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MATCHING
        ):
            places = node.args[:1]
        yield from (text for place in places for text in texts(place))


def uses_hydra(file: Path) -> bool:
    return re.search(r"^(from|import) (hydra|omegaconf)", file.read_text(encoding="utf-8"), re.M) is not None


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_no_other_file_uses_private_names(file: Path) -> None:
    """Ruff checks the imports (banned-api in pyproject.toml)."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [f"{file}:{line}: {name}" for name, line in names(tree) if name in PRIVATE]
    found += [f"{file}:{line}: {text!r}" for text, line in texts(tree) if "hydra._internal" in text]
    assert not found, "to be put behind rnnlab/app/config/hydra_internals/private_api.py, with a canary"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_no_other_file_repeats_a_phrase(file: Path) -> None:
    wordings = {
        words for phrase in Phrase for words in ENGLISH.findall(phrase.pattern.pattern) if len(words) > 9
    }
    assert len(wordings) >= 20
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [f"{file}:{line}: {text!r}" for text, line in texts(tree) if any(w in text for w in wordings)]
    assert not found, "to be looked up in rnnlab/app/config/hydra_internals/phrases.py"


@pytest.mark.parametrize("file", [file for file in FILES if uses_hydra(file)], ids=relative)
def test_no_other_file_matches_english_phrases(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [f"{file}:{line}: {text!r}" for text, line in matched(tree) if ENGLISH.search(text)]
    assert not found, "to be put into rnnlab/app/config/hydra_internals/phrases.py, with a canary"
