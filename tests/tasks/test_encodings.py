"""Errors for files that are not UTF-8 text: the printed command converts other encodings."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rnnlab.tasks import CharLM, Series
from rnnlab.tasks.encodings import encoding_problem, guess_encoding
from tests.tasks.texts import VERSES

FRENCH = "Où est l’élève ?\nà côté, naïf – déjà\n" * 20
CHINESE = "汉字是记录汉语的文字\n它们很多，有些很难写。" * 20
RUSSIAN = "Мама мыла раму.\n" * 20
OTHERS = {
    **{f"{name} {e}": (text, e, e.upper().replace("UTF-16-", "UTF-16").replace("UTF-32-", "UTF-32"))
       for e in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
       for name, text in (("english", VERSES), ("french", FRENCH), ("chinese", CHINESE), ("russian", RUSSIAN))},
    "french latin-1": (FRENCH.replace("’", "'").replace("–", "-"), "latin-1", "WINDOWS-1252"),
    "french cp1252": (FRENCH, "cp1252", "WINDOWS-1252"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def char_lm(path: str) -> CharLM:
    return CharLM(5, 3, path, True, "every", 0.1, 0, 1.0)


@pytest.mark.parametrize("kind", OTHERS)
def test_another_encoding_is_guessed(kind: str) -> None:
    text, encoding, expected = OTHERS[kind]
    data = text.encode(encoding)
    assert guess_encoding(data) == expected
    problem = encoding_problem(data, Path("t.txt"))
    assert problem is not None and problem.endswith(f"iconv -f {expected} -t UTF-8 t.txt > t.utf8.txt")


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv")
@pytest.mark.parametrize("kind", ["english utf-16-le", "french utf-16", "chinese utf-32-be", "french cp1252"])
@pytest.mark.parametrize("name", ["t.txt", "-my text's", "$HOME"])
def test_the_printed_command_makes_a_usable_text(here: Path, kind: str, name: str) -> None:
    text, encoding, _ = OTHERS[kind]
    Path(name).write_bytes(text.encode(encoding))
    with pytest.raises(ValueError, match=", not UTF-8") as error:
        char_lm(name)
    subprocess.run(["sh", "-c", str(error.value).partition("convert it with: ")[2]], check=True)
    copies = [str(file) for file in Path().iterdir() if ".utf8" in file.name]
    assert char_lm(copies[0]).text == text


def test_a_table_in_another_encoding(here: Path) -> None:
    Path("t.csv").write_bytes(("a,b\n" + "1,2\n2,3\n" * 20).encode("utf-16-le"))
    with pytest.raises(
        ValueError, match=r"^path=t.csv: is probably UTF-16LE, not UTF-8 \(NUL at byte 1\); convert"
    ):
        Series(4, 2, "t.csv", None, 0.3, ",", ".")


BINARIES = {
    "is a PNG image, not UTF-8 text": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "is a zip archive, not UTF-8 text": b"PK\x03\x04" + bytes(30),
    "is a gzip archive, not UTF-8 text": b"\x1f\x8b\x08\0",
    "is not UTF-8 text (NUL at byte 3)": b"abc\0defg" * 50,
    "is not UTF-8 text (NUL at byte 0)": bytes(100),
    "is not UTF-8 text (invalid start byte at byte 0)": b"\x81\x8d\x01\x02\xff\xdf" * 20,
}


@pytest.mark.parametrize("message", BINARIES)
def test_binary_files_are_refused(here: Path, message: str) -> None:
    Path("t.txt").write_bytes(BINARIES[message])
    with pytest.raises(ValueError) as error:
        char_lm("t.txt")
    assert str(error.value) == f"path=t.txt: {message}"


def test_a_parquet_file_with_another_extension(here: Path) -> None:
    Path("t.csv").write_bytes(b"PAR1" + bytes(20))
    with pytest.raises(ValueError, match=r"is a Parquet file, not UTF-8 text; rename it to \*\.parquet$"):
        Series(4, 2, "t.csv", None, 0.3, ",", ".")


@pytest.mark.parametrize("text", [VERSES, FRENCH, CHINESE, "", "a", "\ufeffab"])
def test_utf_8_is_read(text: str) -> None:
    assert encoding_problem(text.encode(), Path("t")) is None
