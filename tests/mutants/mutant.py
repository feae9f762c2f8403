"""A change to the product that the tests must detect."""

from dataclasses import dataclass
from pathlib import Path


class Stale(ValueError):
    """A mutant no longer fits the code; the message gives the reason."""


@dataclass(frozen=True)
class Mutant:
    """One change to one file.

    Attributes:
        file: Path of the file, relative to `rnnlab/`.
        old: The text to replace, which occurs exactly once in the file.
        new: The replacement.
        tests: Files, folders or single tests (`file.py::test`) below `tests/` that should detect the change. They run first; if they pass, the whole
            suite decides.
    """

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def room(self) -> str:
        """The layer of the file: its first folder, or its own name."""
        return self.file.partition("/")[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file}: {_in_short(self.old)} → {_in_short(self.new) or 'nothing'}"

    def changed(self, root: Path) -> str:
        """Return the file with the change.

        Args:
            root: The folder that holds `rnnlab/` and `tests/`.

        Raises:
            Stale: If the file, the text or a test does not exist, or the text is not unique.
        """
        path = root / "rnnlab" / self.file
        if not path.is_file():
            raise Stale(
                f"{self}: rnnlab/{self.file} does not exist; write the file's new name into tests/mutants"
            )
        if missing := [
            name for name in self.tests if not (root / "tests" / name.partition("::")[0]).exists()
        ]:
            raise Stale(f"{self}: tests/{missing[0]} does not exist; name the tests that should notice")
        text = path.read_text(encoding="utf-8")
        if (found := text.count(self.old)) != 1:
            times = "not found" if not found else f"found {found} times"
            raise Stale(f"{self}: the old text is {times} in rnnlab/{self.file}; it must occur exactly once")
        return text.replace(self.old, self.new)


def _in_short(text: str) -> str:
    return " ".join(text.split())
