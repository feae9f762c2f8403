"""Identity of the machine, needed because only the same machine can check whether a process is alive."""

import socket
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """Return the host name with a prefix of the machine id, if any, because host names are not unique."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return f"{socket.gethostname()}-{machine[:8]}" if machine else socket.gethostname()
