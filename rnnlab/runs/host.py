"""Which machine this is: only who runs on it can say whether a process is still there."""

import socket
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """The host's name, with the start of its machine id where it has one: names repeat."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return f"{socket.gethostname()}-{machine[:8]}" if machine else socket.gethostname()
