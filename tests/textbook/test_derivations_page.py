"""Tests that docs/derivations.md quotes the code exactly and that its formulas can be rendered."""

import re
from pathlib import Path
from textwrap import indent

import pytest
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "derivations.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^\[(.+?)\]\(\.\./(.+?)\)\n```python\n(.+?)```$", PAGE, re.MULTILINE | re.DOTALL)
FORMULAS = re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", PAGE, re.DOTALL)


def test_every_code_block_names_its_file():
    assert len(QUOTES) == PAGE.count("```python") >= 15
    assert {path.split("/")[-1] for _, path, _ in QUOTES} >= {
        "softmax.py", "kumar.py", "goodfellow.py", "shah.py", "brown.py", "numpy_slides.py", "vanilla.py"
    }  # fmt: skip


@pytest.mark.parametrize(("name", "path", "code"), QUOTES)
def test_a_code_block_equals_its_file(name, path, code):
    """The indentation of the whole block may differ."""
    assert name == path
    text = (ROOT / path).read_text(encoding="utf-8")
    assert any(indent(code, " " * depth) in text for depth in range(0, 20, 4))


def test_every_source_has_its_experiment():
    named = set(re.findall(r"experiment=(source_\w+)`", PAGE))
    there = {path.stem for path in (ROOT / "conf" / "experiment").glob("source_*.yaml")}
    assert named == there == {f"source_{n}" for n in ("kumar", "textbook", "shah", "brown", "slides")}


@pytest.mark.parametrize("formula", sorted({block or inline for block, inline in FORMULAS}))
def test_a_formula_can_be_drawn(formula):
    drawn = convert(formula)
    assert drawn.startswith("<math")
    assert "\\" not in drawn  # an unsupported LaTeX command
