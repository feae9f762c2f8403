"""Networks outside a run: construction, forward passes and measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnlab.app.config.build import build_network
from rnnlab.library.composing import compose_network, mistakes_as_value_errors
from rnnlab.library.exported import Exported
from rnnlab.library.network_measurements import Measured


def network(
    cell: str | None = None,
    *,
    inputs: int,
    hidden: int | None = None,
    outputs: int = 1,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> "Network":
    """Return an untrained network with the initial weights that a run of the same seed has.

    Args:
        cell: Name of the cell, such as `rnn`, `lstm` or `gru`.
        inputs: Number X of input features, or of symbols.
        hidden: Number H of hidden units in each layer.
        outputs: Number Y of outputs of the readout.
        seed: Seed of the weights.
        overrides: Further settings as on the command line, such as `"cell.forget_bias=1"`.
        **keys: Configuration keys of a network: `layers`, `residual`, `init`, `initial_state`, `dtype`,
            `loss`, `loss_reduction` and `readout_bias`. Keys that are not given have the defaults in `conf/`.

    Raises:
        ValueError: If a key or a value is invalid; the message has one line per mistake.

    >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2, seed=0, overrides=["cell.forget_bias=1"])
    >>> net
    Network(lstm, inputs=3, hidden=16, outputs=2, layers=1, dtype=float32, parameters=1314)
    """
    name, choice, config = compose_network(cell, inputs, hidden, outputs, seed, overrides, keys)
    with mistakes_as_value_errors():
        settings, model, params = build_network(config, int(inputs), int(outputs), "squared_error")
    return Network(name, choice, model, params, settings.seed, settings.loss is not None)


@dataclass(frozen=True, eq=False, repr=False)
class Network(Measured, Exported):
    """A recurrent network with its parameters; `network` and `Run.network` create it.

    Inputs `x` are arrays of real numbers with the axes (time, features, batch), or of integer symbols with
    the axes (time, batch). `axes="btf"` accepts arrays with the axes (batch, time, features) instead.
    A single sequence, (time, features), is a batch of one. Time steps are numbered from 1 to T.

    Attributes:
        name: Name of the network, such as `lstm hidden_size=16`.
        cell: Name of the cell.
        model: Equations of the network.
        params: Parameters by name, as in the derivations (`W_xh`, `W_hh`, …). The arrays may be changed in
            place.
        seed: Seed of the initial weights, and of random initial states.
        has_own_loss: True if the loss was chosen explicitly; otherwise, integer targets select the
            cross-entropy and real-valued targets the squared error.
        embedding: Matrix whose rows are the inputs of integer symbols, shape (symbols, X); None if symbols
            are one-hot vectors.
        possible_embeddings: Names of tensors of the weight file that may be the embedding, for messages.

    >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2)
    >>> net.inputs, net.hidden, net.outputs, net.layers, net.params["W_hh"].shape
    (3, 16, 2, 1, (64, 16))
    """
