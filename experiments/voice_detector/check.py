"""Compare rnnlab with ONNX Runtime on the whole voice activity detector.

python experiments/voice_detector/check.py silero_vad_16k_op15.onnx

The script requires the packages onnx and onnxruntime. The weights of the ONNX file differ a little from those
of the safetensors file, so both calculations use the ONNX file.
"""

import sys

import numpy as np
import onnx
import onnxruntime
from inputs import CONTEXT, STEP, STEPS, features, voices

import rnnlab as rl


def weights_of(file: str) -> dict[str, np.ndarray]:
    """Return the weights under the names of the safetensors file."""
    found = {x.name: onnx.numpy_helper.to_array(x) for x in onnx.load(file).graph.initializer}
    names = {"stft_conv.weight": "stft.forward_basis_buffer"}
    for part in ("weight", "bias"):
        names |= {f"conv{k + 1}.{part}": f"encoder.{k}.reparam_conv.{part}" for k in range(4)}
        names |= {f"lstm_cell.{part}_{of}": f"decoder.rnn.{part}_{of}" for of in ("ih", "hh")}
        names |= {f"final_conv.{part}": f"decoder.decoder.2.{part}"}
    return {name: found[f"model.{other}"] for name, other in names.items()}


def main(file: str) -> None:
    """Print the largest difference of the probabilities of speech."""
    weights, sound = weights_of(file), voices(np.random.default_rng(0)).astype(np.float32)
    h = rl.from_torch(weights, prefix="lstm_cell").predict(features(weights, sound))
    logits = np.einsum("h,thb->tb", weights["final_conv.weight"][0, :, 0], np.maximum(h, 0))
    ours = 1 / (1 + np.exp(-(logits + weights["final_conv.bias"])))
    session = onnxruntime.InferenceSession(file)
    state, context = np.zeros((2, len(sound), 128), np.float32), np.zeros((len(sound), CONTEXT), np.float32)
    rate, theirs = np.array(16_000, np.int64), []
    for step in range(STEPS):
        chunk = np.concatenate([context, sound[:, step * STEP : (step + 1) * STEP]], axis=1)
        found, state = session.run(None, {"input": chunk, "state": state, "sr": rate})
        context = chunk[:, -CONTEXT:]
        theirs.append(found[:, 0])
    print(f"largest difference: {np.abs(ours - np.array(theirs)).max():.2g}")


if __name__ == "__main__":
    main(sys.argv[1])
