"""Gradients through time in a word language model of torch, on Shakespeare's Sonnets.

    python experiments/word_language_model/train.py

The network is Embedding → dropout → two-layer LSTM with dropout → dropout → Linear. It is trained with SGD
and clipping on chunks of 35 words, and its state passes from chunk to chunk. `rnnlab.torch.watch` measures it
every 50 steps. The script writes `lag_curves.parquet` and `figure.svg`, and prints the numbers of the README.
"""

import re
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from torch import nn

import rnnlab.torch

HERE = Path(__file__).parent
TEXT = HERE.parents[1] / "rnnlab" / "tasks" / "data" / "sonnets.txt"
SIZE, LAYERS, DROPOUT = 200, 2, 0.2
CHUNK, BATCH, RATE, CLIP = 35, 20, 20.0, 0.25
STEPS, EVERY, SEEDS = 600, 50, (0, 1, 2)
SMALL = -2.0
"""Value of log10 g(k)/g(1) below which the gradient counts as lost: 1 %."""


class WordModel(nn.Module):
    """Language model of words."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(DROPOUT)
        self.embedding = nn.Embedding(words, SIZE)
        self.lstm = nn.LSTM(SIZE, SIZE, LAYERS, dropout=DROPOUT)
        self.head = nn.Linear(SIZE, words)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.head.weight, -0.1, 0.1)
        nn.init.zeros_(self.head.bias)

    def forward(self, words, state):
        """Return the logits at each time step, and the final state."""
        outputs, state = self.lstm(self.dropout(self.embedding(words)), state)
        return self.head(self.dropout(outputs)), state


def corpus() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return the words of training and validation, (time, batch), and the size of the vocabulary."""
    tokens = re.findall(r"[a-z']+|[.,:;!?]|\n", TEXT.read_text(encoding="utf-8").lower())
    names, numbers = np.unique(tokens, return_inverse=True)
    cut = int(0.9 * len(numbers))
    parts = (torch.from_numpy(part[: len(part) // BATCH * BATCH]) for part in (numbers[:cut], numbers[cut:]))
    training, validation = (part.reshape(BATCH, -1).T.contiguous() for part in parts)
    return training, validation, len(names)


def loss_of(model: WordModel, words: torch.Tensor, state):
    """Return the mean cross-entropy of a chunk, and the state after it without its gradient."""
    outputs, state = model(words[:-1], state)
    loss = nn.functional.cross_entropy(outputs.flatten(0, 1), words[1:].flatten())
    return loss, tuple(part.detach() for part in state)


def validation_loss(model: WordModel, words: torch.Tensor) -> float:
    """Return the mean cross-entropy over the validation text."""
    model.eval()
    losses, state = [], None
    with torch.no_grad():
        for begin in range(0, len(words) - CHUNK, CHUNK):
            loss, state = loss_of(model, words[begin : begin + CHUNK + 1], state)
            losses.append(loss.item())
    model.train()
    return float(np.mean(losses))


def train(seed: int) -> tuple[pd.DataFrame, list[tuple[int, float]]]:
    """Train the model, and return the gradients and the validation losses by training step."""
    torch.manual_seed(seed)
    training, validation, words = corpus()
    model = WordModel(words)
    state, rate, losses = None, RATE, []
    with rnnlab.torch.watch(model, every=EVERY) as probe:
        for step in range(STEPS + 1):
            begin = step * CHUNK % (len(training) - CHUNK - 1)
            state = None if begin < CHUNK else state
            model.zero_grad()
            loss, state = loss_of(model, training[begin : begin + CHUNK + 1], state)
            loss.backward()
            probe.step()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad
            if step % EVERY == 0:
                losses.append((step, validation_loss(model, validation)))
                rate = rate / 4 if losses[-1][1] > min(value for _, value in losses) else rate
    return probe.gradients.assign(seed=seed), losses


def decades(frame: pd.DataFrame, lag: int) -> pd.DataFrame:
    """Return log10 of g(lag)/g(1) by seed, training step and layer."""
    wide = frame.pivot_table(index=["seed", "step", "layer"], columns="lag", values="log10_gmean")
    return (wide[lag] - wide[1]).rename("decades").reset_index()


def horizons(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the largest lag with g(k) of at least 1 % of g(1), by training step, layer and seed."""
    wide = curves.pivot_table(index=["step", "layer", "seed"], columns="lag", values="log10_gmean")
    relative = wide.sub(wide[1], axis=0).loc[:, 1:]
    return (
        relative.where(relative >= SMALL).apply(pd.Series.last_valid_index, axis=1).unstack(["layer", "seed"])
    )


def draw(curves: pd.DataFrame, path: Path) -> None:
    """Draw the lag curves before and after training, and the decay over the longest lag during training."""
    last = int(curves["lag"].max())
    colors = dict(zip((1, 2), sns.color_palette("colorblind", 2), strict=True))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    final = curves["step"].max()
    for (layer, step, seed), rows in curves[curves["step"].isin([0, final])].groupby(
        ["layer", "step", "seed"]
    ):
        values = rows.set_index("lag")["log10_gmean"].sort_index()
        label = f"layer {layer}, step {step}" if seed == SEEDS[0] else None
        style = "-" if step else "--"
        left.plot(values.index[1:], (values - values[1])[1:], style, color=colors[layer], label=label)
    left.set(xlabel="lag k (words)", ylabel="log₁₀ g(k)/g(1)")
    for (layer, seed), rows in decades(curves, last).groupby(["layer", "seed"]):
        label = f"layer {layer}" if seed == SEEDS[0] else None
        marker = "o" if layer == 1 else "s"
        right.plot(rows["step"], rows["decades"], color=colors[layer], marker=marker, ms=4, label=label)
    right.set(xlabel="training step", ylabel=f"log₁₀ g({last})/g(1)")
    for ax in (left, right):
        ax.legend(frameon=False)
        sns.despine(ax=ax)
    ends = decades(curves, last).groupby(["step", "layer"])["decades"].mean()
    words = "; ".join(
        f"layer {layer}: {-ends[0, layer]:.1f} decades before, {-ends[final, layer]:.1f} after training"
        for layer in (1, 2)
    )
    title = f"Training first weakens, then restores the gradient over {last - 1} words\n{words}"
    figure.suptitle(title, fontsize=11)
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Train all seeds, and write the table and the figure."""
    began, frames = time.perf_counter(), []
    for seed in SEEDS:
        frame, losses = train(seed)
        frames.append(frame)
        print(f"seed {seed}: perplexity", *(f"{step}: {np.exp(loss):.0f}" for step, loss in losses[::2]))
    print(f"{time.perf_counter() - began:.0f} seconds")
    whole = pd.concat(frames, ignore_index=True)
    curves = whole[(whole["quantity"] == "state") & whole["lag"].notna() & (whole["layer"] > 0)]
    curves = curves[["seed", "step", "layer", "lag", "log10_gmean"]].astype({"lag": int})
    curves.astype({"log10_gmean": np.float32}).to_parquet(HERE / "lag_curves.parquet", index=False)
    draw(curves, HERE / "figure.svg")
    for lag in (10, 20, int(curves["lag"].max())):
        table = decades(curves, lag).pivot_table(index="step", columns="layer", values="decades")
        print(f"log10 g({lag})/g(1), mean over seeds\n{table.round(2)}")
    print(f"largest lag with g(k)/g(1) of at least 1 %, by layer and seed\n{horizons(curves)}")


if __name__ == "__main__":
    main()
