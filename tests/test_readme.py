"""Tests that the README fits on one screen and that its first commands exist."""

from tests.surroundings import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_one_screen() -> None:
    lines = README.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) < 200
    assert (ROOT / "docs" / "figures" / "front.svg").is_file() and "docs/figures/front.svg" in README


def test_its_first_commands_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("sweep", "test"):
        assert f"\n    make {target} " in README and f"\n{target}: " in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
