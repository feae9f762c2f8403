"""Measure a network that was trained elsewhere: where does its gradient go?

Reads the weights of a recurrent network (torch, Keras, flax or ONNX), runs it on your inputs, and writes an
ordinary run folder with lag curves, gradient norms by time step, singular values, exponents and gates.
Several weight files, such as the checkpoints of one training, make one run with one recording per file.
"""

import os
import re
import secrets
import shlex
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.interop import LAYOUTS
from rnnlab.library.foreign import load
from rnnlab.library.inputs import AXES
from rnnlab.library.measuring import measure_networks
from rnnlab.library.networks import Network
from rnnlab.library.runs import Run
from rnnlab.library.verdicts import verdict
from rnnlab.paths import is_file
from rnnlab.terminal.console import CommandParser, nonempty_path, print_line, print_problems
from rnnlab.user_files import error_reason

COMMAND = "rnnlab.measure"


def main(argv: Sequence[str]) -> int:
    """Measure a network and return the exit code (2 for invalid input)."""
    parser = CommandParser(COMMAND, description=__doc__)
    parser.add_argument(
        "weights", nargs="+", type=nonempty_path, help="weight files, in the order of training"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="torch", help="layout of the weights (default: torch)"
    )
    parser.add_argument("--inputs", required=True, type=nonempty_path, help=".npy file with the inputs")
    parser.add_argument(
        "--targets", type=nonempty_path, help=".npy file with targets (default: a loss without targets)"
    )
    parser.add_argument(
        "--axes",
        default=AXES,
        help="order of the axes time, features and batch in the inputs: tfb (default), tbf or btf",
    )
    parser.add_argument(
        "--prefix", help="first part of the names of the recurrent module, such as encoder.rnn"
    )
    parser.add_argument("--layers", type=int, help="number of layers, from the bottom (default: all)")
    parser.add_argument(
        "--readout", help="first part of the names of the linear layer that gives the outputs"
    )
    parser.add_argument(
        "--embedding", help="matrix in which integer inputs are looked up, such as encoder.weight"
    )
    parser.add_argument("--nonlinearity", choices=("tanh", "relu", "identity"), help="of a vanilla cell")
    parser.add_argument(
        "--direction",
        choices=("forward", "reverse"),
        help="direction of a bidirectional module; reverse also reverses the inputs",
    )
    parser.add_argument("--folder", type=nonempty_path, help="new run folder (default: in outputs/)")
    parser.add_argument("--no-tracking", action="store_true", help="send nothing to MLflow")
    args = parser.parse_args(argv)
    folder = args.folder or _new_folder()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            run = _measured(args, folder, shlex.join(["python", "-m", COMMAND, *argv]))
    except OSError as error:
        print_problems(COMMAND, [f"{error.filename}: {error_reason(error)}"])
        return 2
    except ValueError as error:
        print_problems(COMMAND, [_as_options(line) for line in str(error).splitlines()])
        return 2
    for note in dict.fromkeys(str(warning.message) for warning in caught):
        print_line(f"Note: {_as_options(note)}")
    print_line(f"Files: {os.path.relpath(folder)}")
    if not args.no_tracking:
        from rnnlab.commands import sync

        sync.main([str(folder)])
    print_line(_verdict(run))
    return 0


def _measured(args: Any, folder: Path, command: str) -> Run:
    networks = _networks(args)
    x, y = _array("--inputs", args.inputs), args.targets and _array("--targets", args.targets)
    if args.direction == "reverse":
        x = np.flip(x, _time_axis(args.axes, x))
    name = f"{args.weights[list(networks).index(max(networks))].stem} ({args.layout})"
    return measure_networks(networks, x, y, axes=args.axes, folder=folder, name=name, command=command)


def _as_options(message: str) -> str:
    """Return a message about arguments in Python with the options of the command line."""
    for name in ("prefix", "layers", "readout", "embedding", "nonlinearity", "direction", "axes", "folder"):
        message = re.sub(rf"(?<![\w.-]){name}=(?:'([^']*)'|(\w*))", rf"--{name} \1\2", message)
    return message


def _verdict(run: Run) -> str:
    try:
        return f"Verdict: {verdict(run)}"
    except ValueError as error:
        return f"No verdict: {error}"


def _networks(args: Any) -> dict[int, Network]:
    """Return the networks of the weight files by training step."""
    options = {
        "prefix": args.prefix,
        "layers": args.layers,
        "readout": args.readout,
        "embedding": args.embedding,
        "nonlinearity": args.nonlinearity,
        "direction": args.direction,
    }
    steps = steps_of(args.weights)
    return {
        step: load(path, layout=args.layout, **options)
        for step, path in zip(steps, args.weights, strict=True)
    }


def steps_of(files: Sequence[Path]) -> list[int]:
    """Return the training step of each file: the last number of its name, or else its position."""
    numbers = [re.findall(r"\d+", file.stem) for file in files]
    steps = [int(found[-1]) if found else -1 for found in numbers]
    is_usable = len(files) > 1 and min(steps) >= 0 and len(set(steps)) == len(steps)
    return steps if is_usable else list(range(len(files)))


def _array(option: str, path: Path) -> Any:
    """Return the array in a .npy file, without unpickling and without reading it at once."""
    if not is_file(path):
        raise ValueError(f"{option} {path}: not found")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{option} {path}: must be a .npy file of numbers ({error_reason(error)})") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{option} {path}: contains several arrays; must be a .npy file with one array")
    return found


def _time_axis(axes: str, x: Any) -> int:
    """Return the axis of the time steps; arrays of symbols have no axis of features."""
    return (axes if x.ndim == 3 else axes.replace("f", "")).find("t")


def _new_folder() -> Path:
    now = datetime.now()
    return Path("outputs", f"{now:%Y-%m-%d}", f"{now:%H-%M-%S}-{secrets.token_hex(3)}")
