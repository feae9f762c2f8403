"""Mutation tests, `python -m tests.mutants [TEXT ...]`: show that the tests detect errors in the product.

Each mutant is one change to the product, in a copy of the checkout. Its own tests run first; if they pass,
the whole suite decides. A mutant is killed when a test fails, or when the tests do not end within the time
limit. The exit code is 1 if a mutant survives, 2 if the table no longer fits the code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutant import Mutant, Stale
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).parents[2]
LEFT_OUT = (".*", "__pycache__", "outputs", "multirun", "_build", "mlflow.db", "mlartifacts")
TIME_LIMIT = 3600
"""Time limit for one call of pytest, in seconds."""
FAILED = (1, 2)
"""Exit codes of pytest for a failed test and for a file that cannot be imported."""


def main(argv: Sequence[str]) -> int:
    """Try the mutants whose description contains one of the texts, or all mutants; return the exit code."""
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="such as clipping.py; default: all mutants")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--targeted", action="store_true", help="never run the whole suite")
    args = parser.parse_args(argv)
    chosen = [m for m in MUTANTS if not args.texts or any(text in str(m) for text in args.texts)]
    stale = _stale(chosen)
    if stale or not chosen:
        print("\n".join(stale or ["no mutant has such a description; --list prints them"]), file=sys.stderr)
        return 2
    if args.list:
        print("\n".join(map(str, chosen)))
        return 0
    with tempfile.TemporaryDirectory(prefix="rnnlab-mutants-") as folder:
        return _try(chosen, Path(folder), not args.targeted)


def _stale(mutants: Sequence[Mutant]) -> list[str]:
    """Return one line for each mutant that no longer fits the code."""
    problems = []
    for mutant in mutants:
        try:
            mutant.changed(ROOT)
        except Stale as problem:
            problems.append(str(problem))
    return problems


def _try(mutants: Sequence[Mutant], folder: Path, whole_suite: bool) -> int:
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(*LEFT_OUT))
    tests = sorted({name for mutant in mutants for name in mutant.tests})
    if _pytest(checkout, tests) != 0:
        print("the tests fail without a mutant; repair them first", file=sys.stderr)
        return 2
    survived = []
    for number, mutant in enumerate(mutants, start=1):
        began = time.monotonic()
        verdict = _verdict(mutant, checkout, whole_suite)
        survived += [mutant] if verdict == "SURVIVED" else []
        seconds = f"{time.monotonic() - began:.0f} s"
        print(f"{number:4}  {verdict:28}  {seconds:>6}  {mutant}", flush=True)
    print(f"{len(mutants)} mutants: {len(mutants) - len(survived)} killed, {len(survived)} survived")
    return int(bool(survived))


def _verdict(mutant: Mutant, checkout: Path, whole_suite: bool) -> str:
    path = checkout / "rnnlab" / mutant.file
    original = path.read_text(encoding="utf-8")
    path.write_text(mutant.changed(checkout), encoding="utf-8")
    try:
        if _fails(_pytest(checkout, mutant.tests)):
            return "killed"
        if whole_suite and _fails(_pytest(checkout, [])):
            return "killed by the whole suite"
        return "SURVIVED"
    finally:
        path.write_text(original, encoding="utf-8")


def _fails(code: int | None) -> bool:
    """Return True if the tests detected the mutant; the exit code None means that the tests did not end.

    Raises:
        RuntimeError: If pytest itself failed.
    """
    if code not in (0, None, *FAILED):
        raise RuntimeError(f"pytest ended with exit code {code}")
    return code != 0


def _pytest(checkout: Path, tests: Sequence[str]) -> int | None:
    """Run pytest on files of `tests/`, or on all tests on all cores; return its exit code, or None on timeout."""
    parallel = () if tests else ("--numprocesses", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *parallel]
    command += [f"tests/{name}" for name in tests]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        for _ in range(2):  # a killed pytest, as when memory runs out, is no result: repeat once
            done = subprocess.run(
                command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, timeout=TIME_LIMIT
            )
            if done.returncode >= 0:
                break
        return done.returncode
    except subprocess.TimeoutExpired:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
