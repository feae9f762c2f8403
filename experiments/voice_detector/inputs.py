"""Inputs of the recurrent layer of Silero VAD, a voice activity detector, for artificial voices.

python experiments/voice_detector/inputs.py silero_vad_16k.safetensors x.npy

The file is part of the package silero-vad on PyPI (MIT licence). The network reads 512 samples at 16 kHz per
time step: a short-time Fourier transform and four convolutions give 128 features, an LSTM cell with 128 units
reads them, and a linear layer gives the probability of speech.
"""

import sys

import numpy as np
from safetensors.numpy import load_file

RATE, STEP, CONTEXT, STEPS, VOICES = 16_000, 512, 64, 100, 8
FORMANTS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
"""Frequencies in Hz of the first three formants of four vowels (Peterson and Barney, 1952)."""


def voices(rng: np.random.Generator) -> np.ndarray:
    """Return artificial voices, (VOICES, samples): harmonics of a pitch, shaped by formants, in syllables."""
    t = np.arange(STEPS * STEP) / RATE
    found = []
    for _ in range(VOICES):
        pitch = rng.uniform(90, 220) * (1 + 0.05 * np.sin(2 * np.pi * rng.uniform(2, 4) * t))
        phase, sound = 2 * np.pi * np.cumsum(pitch) / RATE, np.zeros_like(t)
        for start in range(0, len(t), RATE // 4):  # four syllables per second, with pauses
            part, formants = slice(start, start + RATE // 5), FORMANTS[rng.integers(4)]
            for k in range(1, 30):
                level = sum(np.exp(-(((k * pitch.mean() - f) / 150) ** 2)) for f in formants)
                sound[part] += (0.05 + level) / k**0.5 * np.sin(k * phase[part])
        found.append(0.3 * sound / np.abs(sound).max() + 0.003 * rng.standard_normal(len(t)))
    return np.stack(found)


def convolve(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Return ReLU of a convolution over time with one zero at both ends; x: (B, C, T)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2)[:, :, ::stride]
    return np.maximum(np.einsum("bctk,dck->bdt", windows, weights) + bias[:, None], 0)


def features(weights: dict[str, np.ndarray], sound: np.ndarray) -> np.ndarray:
    """Return the inputs of the LSTM cell, (time, 128, batch), for sound of shape (batch, samples)."""
    found = []
    for step in range(STEPS):
        begin = step * STEP
        context = sound[:, begin - CONTEXT : begin] if step else np.zeros((len(sound), CONTEXT))
        chunk = np.concatenate([context, sound[:, begin : begin + STEP]], axis=1)
        chunk = np.pad(chunk, ((0, 0), (0, 64)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(chunk, 256, axis=1)[:, ::128]
        transform = np.einsum("btk,fk->bft", windows, weights["stft_conv.weight"][:, 0])
        x = np.hypot(transform[:, :129], transform[:, 129:])
        for number, stride in enumerate((1, 2, 2, 1), start=1):
            x = convolve(x, weights[f"conv{number}.weight"], weights[f"conv{number}.bias"], stride)
        found.append(x[:, :, 0].T)
    return np.stack(found).astype(np.float32)


def main(file: str, out: str) -> None:
    """Write the inputs for artificial voices."""
    np.save(out, features(load_file(file), voices(np.random.default_rng(0))))


if __name__ == "__main__":
    main(*sys.argv[1:])
