"""Tests that every library error about a user's file becomes a one-line message."""

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rnnlab.initial_states import Given
from rnnlab.user_files import UnreadableFile, convert_read_errors

ERRORS = [
    EOFError("cut off"), zipfile.BadZipFile("cut off"), lzma.LZMAError("cut off"), tarfile.ReadError("cut off"),
    zlib.error("cut off"), pa.ArrowInvalid("cut off\nand more"), pa.ArrowNotImplementedError("cut off"),
    ImportError("cut off"), OverflowError("cut off"), RecursionError("cut off"), RuntimeError("cut off"),
    UnicodeError("cut off"), OSError("cut off"), NotImplementedError("cut off"), SyntaxError("cut off"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_reader_is_reported_in_one_line(error: Exception) -> None:
    with pytest.raises(UnreadableFile) as error_info, convert_read_errors("f"):
        raise error
    assert str(error_info.value) == "path=f: cannot be read (cut off)"


@pytest.mark.parametrize(
    ("error", "message"),
    [(EOFError(), "EOFError"), (MemoryError(), "not enough memory"), (OSError(2, "gone"), "gone"), (KeyError("k"), "'k'")],
)  # fmt: skip
def test_a_reason_is_never_empty(error: Exception, message: str) -> None:
    with (
        pytest.raises(UnreadableFile, match=rf"^path=f: cannot be read \({message}\)$"),
        convert_read_errors("f"),
    ):
        raise error


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_non_finite_initial_state_is_refused(tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "h.npz", h=np.array([0.0, value]))
    with pytest.raises(
        ValueError, match=r"must contain an array h of 2 finite numbers; available: h float64"
    ):
        Given(str(tmp_path / "h.npz")).draw("h", (2, 3), None)
