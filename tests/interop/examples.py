"""Weights in torch's layout, from the fixtures."""

from pathlib import Path

import numpy as np

import rnnlab as rl

FIXTURES = Path(__file__).parent / "fixtures"


def gru(**keys):
    return {
        f"{name}": a
        for name, a in rl.load(FIXTURES / "torch.npz", prefix="gru1b").to_torch_state_dict().items()
    } | keys


def gru_layers(*numbers):
    return {name.replace("_l0", f"_l{k}"): a for k in numbers for name, a in gru().items()}


def words():
    """Return the weights of Embedding, GRU and Linear."""
    rows = np.arange(15, dtype=np.float32).reshape(5, 3) / 15
    state = {f"rnn.{name}": a for name, a in gru().items()} | {"encoder.weight": rows}
    return state | {"decoder.weight": np.ones((2, 4), np.float32), "decoder.bias": np.ones(2, np.float32)}
