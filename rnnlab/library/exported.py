"""Weights of a network in the forms of other frameworks."""

from typing import Any

from rnnlab.arrays import Array, Params
from rnnlab.interop import LAYOUTS
from rnnlab.library.layer_weights import layer_weights
from rnnlab.model import Model


class Exported:
    """Methods of a network that return its weights for other frameworks."""

    model: Model
    params: Params

    def to_torch_state_dict(self, prefix: str = "", readout: str | None = None) -> dict[str, Array]:
        """Return the weights with the names and the gate order of torch.

        torch adds two biases; the second is 0 here, except for the bias b_hn of a GRU.

        Args:
            prefix: Name of the recurrent module in its parent, such as `rnn`; empty for the module itself.
            readout: Name of the torch.nn.Linear that reads h[t], such as `fc`; None for the recurrent layers
                alone.

        Raises:
            ValueError: If torch has no such network, or if a name is invalid.

        >>> net = rl.network("rnn", inputs=3, hidden=16, outputs=2)
        >>> {name: w.shape for name, w in net.to_torch_state_dict().items()}
        {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 16), 'bias_ih_l0': (16,), 'bias_hh_l0': (16,)}
        >>> state = net.to_torch_state_dict(prefix="rnn", readout="fc")
        >>> rl.from_torch(state, nonlinearity="tanh", readout="fc").outputs
        2
        """
        if not isinstance(prefix, str):
            raise ValueError(f"prefix={prefix!r}: must be a string")
        own = prefix.rstrip(".")
        start = f"{own}." if own else ""
        found = {start + name: a for name, a in self._written("torch").items()}
        if readout is None:
            return found
        linear = readout.rstrip(".") if isinstance(readout, str) else ""
        if not linear or linear == own:
            raise ValueError(
                f"readout={readout!r}: must be the name of a linear layer, such as 'fc', and not that of the "
                "recurrent module"
            )
        return found | {f"{linear}.{name}": a for name, a in self._written_readout("torch").items()}

    def to_keras_weights(self, readout: bool = False) -> list[list[Array]]:
        """Return the arguments of `set_weights` of the Keras layer of each layer.

        Args:
            readout: True to append those of the Dense layer that reads h[t].

        Raises:
            ValueError: If Keras has no such network.

        >>> net = rl.network("gru", inputs=3, hidden=16, outputs=2)
        >>> [[w.shape for w in weights] for weights in net.to_keras_weights(readout=True)]
        [[(3, 48), (16, 48), (2, 48)], [(16, 2), (2,)]]
        """
        _check_flag(readout)
        layers: list[list[Array]] = self._written("keras")
        return [*layers, *([list(self._written_readout("keras").values())] if readout else [])]

    def to_flax_params(self, readout: bool = False) -> list[dict[str, Any]]:
        """Return the parameters of the flax.linen cell of each layer.

        Args:
            readout: True to append those of the Dense layer that reads h[t].

        Raises:
            ValueError: If flax has no such network.

        >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2)
        >>> cell, dense = net.to_flax_params(readout=True)
        >>> cell["ii"]["kernel"].shape, dense["kernel"].shape, dense["bias"].shape
        ((3, 16), (16, 2), (2,))
        """
        _check_flag(readout)
        layers: list[dict[str, Any]] = self._written("flax")
        return [*layers, *([self._written_readout("flax")] if readout else [])]

    def to_onnx_arrays(self, readout: bool = False) -> list[dict[str, Array]]:
        """Return the inputs W, R and B of the ONNX operator of each layer.

        A GRU requires the attribute `linear_before_reset=1`, unless it has `reset_after=false`.

        Args:
            readout: True to append the inputs B and C of the Gemm operator that reads h[t]; a MatMul of B and
                an Add of C are the same for sequences.

        Raises:
            ValueError: If ONNX has no such network.

        >>> net = rl.network("lstm", inputs=3, hidden=16, outputs=2)
        >>> [{name: w.shape for name, w in arrays.items()} for arrays in net.to_onnx_arrays(readout=True)]
        [{'W': (1, 64, 3), 'R': (1, 64, 16), 'B': (1, 128)}, {'B': (16, 2), 'C': (2,)}]
        """
        _check_flag(readout)
        layers: list[dict[str, Array]] = self._written("onnx")
        return [*layers, *([self._written_readout("onnx")] if readout else [])]

    def _written(self, layout: str) -> Any:
        return LAYOUTS[layout].write(layer_weights(self.model.cell, self.params))

    def _written_readout(self, layout: str) -> dict[str, Array]:
        return LAYOUTS[layout].write_readout(self.params["W_hy"], self.params.get("b_y"))


def _check_flag(readout: Any) -> None:
    if not isinstance(readout, bool):
        raise ValueError(f"readout={readout!r}: must be True or False")
