"""Write the fixtures of this folder with the frameworks themselves: python -m tests.interop.make_fixtures.

Each `.npz` file contains models with different prefixes, their inputs `x` and their outputs `y <prefix>`.
"""

from pathlib import Path

import numpy as np

from tests.interop.models import CASES, H, inputs

FOLDER = Path(__file__).parent / "fixtures"
TIME = 10
SEPARATOR = {"torch": "."}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for layout, cases in CASES.items():
        arrays: dict[str, np.ndarray] = {}
        for case in cases(TIME, "float32"):
            start = case.name + SEPARATOR.get(layout, "/")
            arrays |= {start + name: a for name, a in case.arrays.items()}
            arrays |= {"x": case.x, f"y {case.name}": case.outputs}
        np.savez_compressed(FOLDER / f"{layout}.npz", **arrays)
    write_torch_files()


def write_torch_files() -> None:
    """Write a bidirectional LSTM with a readout, in float32 and in bfloat16."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(5)
    model = torch.nn.Module()
    model.rnn = torch.nn.LSTM(3, H, bidirectional=True)
    model.fc = torch.nn.Linear(H, 2)
    x = inputs(TIME, "float32")
    with torch.no_grad():
        y = model.rnn(torch.from_numpy(x.transpose(0, 2, 1).copy()))[0]
        found = {"y": y.contiguous(), "o": model.fc(y[..., :H]).contiguous()}
    save_file(model.state_dict() | found, FOLDER / "bidirectional.safetensors")
    save_file({k: v.to(torch.bfloat16) for k, v in model.state_dict().items()}, FOLDER / "half.safetensors")


if __name__ == "__main__":
    main()
