"""Which code made a run."""

import subprocess

from rnnlab import __version__
from rnnlab.paths import PACKAGE


def code_tags() -> dict[str, str]:
    """`rnnlab_version`, and `git_commit` (with `-dirty`) when the package runs from a checkout."""
    tags = {"rnnlab_version": __version__}
    try:
        commit = _git("rev-parse", "HEAD")
        tracked = _git("ls-files", "--error-unmatch", "__init__.py")
        dirty = _git("status", "--porcelain", "--untracked-files=no", "..")
    except (OSError, subprocess.CalledProcessError):
        return tags
    if tracked:
        tags["git_commit"] = commit + ("-dirty" if dirty else "")
    return tags


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True)
    return done.stdout.strip()
