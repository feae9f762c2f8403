"""Whether bytes are a UTF-8 text; what they are instead, and the command that converts them."""

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
"""Byte-order marks; those of UTF-32 first, as one begins like that of UTF-16."""
WIDE_ENCODINGS = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
FILE_SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
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
"""Control characters, which a text has none of."""
ASCII = (*range(0x20, 0x7F), *b"\t\n\r")
MIN_ASCII_SHARE = 0.65
"""The share of ASCII above which bytes are letters of one byte each."""
SAMPLE_BYTES = 100_000
"""Bytes from which an encoding is guessed."""


def encoding_problem(data: bytes, path: Path) -> str | None:
    """What keeps bytes from being read as UTF-8, and what to type against it; None for a UTF-8 text.

    Args:
        data: What is to be read.
        path: Where it stands, for the command that converts it.
    """
    magic = next((kind for start, kind in FILE_SIGNATURES.items() if data.startswith(start)), None)
    try:
        if not magic and b"\x00" not in data:
            data.decode("utf-8")
            return None
        why = "" if magic else f" (NUL at byte {data.index(0)})"
    except UnicodeDecodeError as error:
        why = f" ({error.reason} at byte {error.start})"
    if magic:
        return f"is {magic}, not a UTF-8 text"
    encoding = guess_encoding(data)
    if encoding is None:
        return f"is not a UTF-8 text{why}"
    return f"is not UTF-8{why} but probably {encoding}; convert it with {conversion_command(path, encoding)}"


def guess_encoding(data: bytes) -> str | None:
    """The likeliest encoding of a text that is not UTF-8, as iconv names it, or None for what is no text."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark) and _is_text(data, encoding):
            return encoding
    start = data[:SAMPLE_BYTES]
    ascii_share = sum(start.count(byte) for byte in ASCII) / max(len(start), 1)
    wide = {encoding: _blocks(start, encoding) for encoding in WIDE_ENCODINGS if _is_text(data, encoding)}
    # Latin letters in two or four bytes, or letters of other scripts, which single bytes are not.
    likely = [
        e for e, blocks in wide.items() if 2 * blocks.count(0) > len(blocks) or ascii_share < MIN_ASCII_SHARE
    ]
    if likely:
        return min(likely, key=lambda encoding: len(set(wide[encoding])))
    single = () if b"\x00" in data or ascii_share < MIN_ASCII_SHARE else ("WINDOWS-1252", "ISO-8859-1")
    return next((encoding for encoding in single if _is_text(data, encoding)), None)


def conversion_command(path: Path, encoding: str) -> str:
    """The shell command that makes a UTF-8 copy of a text beside it."""
    copy = path.with_name(f"{path.stem}.utf8{path.suffix}")
    source, target = (name if name[0] != "-" else f"./{name}" for name in (str(path), str(copy)))
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(source)} > {shlex.quote(target)}"


def _is_text(data: bytes, encoding: str) -> bool:
    """Whether bytes can be decoded, to characters that texts are made of."""
    try:
        characters = set(data.decode(encoding))
    except UnicodeDecodeError:
        return False
    return CONTROL_BYTES.isdisjoint(map(ord, characters)) and not any(
        category(c) in ("Cn", "Co") for c in characters
    )


def _blocks(data: bytes, encoding: str) -> list[int]:
    """Of each character the block of 256 that it is in: a text keeps to few."""
    return [ord(character) >> 8 for character in data[: len(data) // 4 * 4].decode(encoding, "ignore")]
