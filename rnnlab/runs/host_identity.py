"""Identification of the current machine.

Whether a process is alive can be checked only on the machine on which the process runs.
"""

import socket
from functools import cache
from pathlib import Path


@cache
def host() -> str:
    """Return the host name, followed by the first 8 characters of the machine id if the id is available.

    The machine id is included because host names are not unique.
    """
    try:
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        machine = ""
    return f"{socket.gethostname()}-{machine[:8]}" if machine else socket.gethostname()
