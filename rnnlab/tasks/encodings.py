"""Functions that detect non-UTF-8 files, guess their encoding and return a command to convert them."""

import shlex
from pathlib import Path
from unicodedata import category

UTF8_MARK = b"\xef\xbb\xbf"
BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte-order marks and the corresponding encodings.

UTF-32 is listed before UTF-16, because the UTF-32LE mark begins with the UTF-16LE mark.
"""
WIDE_ENCODINGS = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
FILE_SIGNATURES = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"\x93NUMPY": "a NumPy file",
    b"SQLite format 3\x00": "an SQLite database",
}
CONTROL_BYTES = frozenset([*range(0x09), 0x0B, *range(0x0E, 0x20), *range(0x7F, 0xA0)])
"""Code points of control characters that are not expected in a text file."""
ASCII = (*range(0x20, 0x7F), *b"\t\n\r")
MIN_ASCII_SHARE = 0.65
"""Minimum fraction of ASCII bytes for a single-byte encoding to be considered."""
SAMPLE_BYTES = 100_000
"""Number of bytes used to guess the encoding."""


def encoding_problem(data: bytes, path: Path) -> str | None:
    """Explain why the data is not UTF-8 text and, if possible, how to convert it; return None for UTF-8.

    Args:
        data: Content of the file.
        path: Path of the file, used in the conversion command.
    """
    file_type = next((kind for start, kind in FILE_SIGNATURES.items() if data.startswith(start)), None)
    if file_type:
        return f"is {file_type}, not UTF-8 text"
    if b"\x00" in data:
        reason = f"NUL at byte {data.index(0)}"
    else:
        try:
            data.decode("utf-8")
            return None
        except UnicodeDecodeError as error:
            reason = f"{error.reason} at byte {error.start}"
    encoding = guess_encoding(data)
    if encoding is None:
        return f"is not UTF-8 text ({reason})"
    command = conversion_command(path, encoding)
    return f"is probably {encoding}, not UTF-8 ({reason}); convert it with: {command}"


def guess_encoding(data: bytes) -> str | None:
    """Return iconv's name for the most likely encoding of non-UTF-8 data, or None if the data is not text."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark) and _is_text(data, encoding):
            return encoding
    start = data[:SAMPLE_BYTES]
    ascii_share = sum(start.count(byte) for byte in ASCII) / max(len(start), 1)
    wide = {encoding: _blocks(start, encoding) for encoding in WIDE_ENCODINGS if _is_text(data, encoding)}
    # With two or four bytes per character, text is mostly Latin letters or contains little ASCII.
    candidates = [
        e for e, blocks in wide.items() if 2 * blocks.count(0) > len(blocks) or ascii_share < MIN_ASCII_SHARE
    ]
    if candidates:
        return min(candidates, key=lambda encoding: len(set(wide[encoding])))
    single = () if b"\x00" in data or ascii_share < MIN_ASCII_SHARE else ("WINDOWS-1252", "ISO-8859-1")
    return next((encoding for encoding in single if _is_text(data, encoding)), None)


def conversion_command(path: Path, encoding: str) -> str:
    """Return the shell command that creates a UTF-8 copy of a file in the same folder."""
    copy = path.with_name(f"{path.stem}.utf8{path.suffix}")
    source, target = (name if name[0] != "-" else f"./{name}" for name in (str(path), str(copy)))
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(source)} > {shlex.quote(target)}"


def _is_text(data: bytes, encoding: str) -> bool:
    """Return True if the data can be decoded and contains only characters expected in a text file."""
    try:
        characters = set(data.decode(encoding))
    except UnicodeDecodeError:
        return False
    return CONTROL_BYTES.isdisjoint(map(ord, characters)) and not any(
        category(c) in ("Cn", "Co") for c in characters
    )


def _blocks(data: bytes, encoding: str) -> list[int]:
    """Return, for each character, the index of the block of 256 code points to which it belongs."""
    return [ord(character) >> 8 for character in data[: len(data) // 4 * 4].decode(encoding, "ignore")]
