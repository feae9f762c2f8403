"""Figures of a report on networks with several layers: the gradient by layer and lag."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.figures.layers import by_layer, draw_layer_curves, draw_map
from rnnlab.analysis.figures.style import add_title
from rnnlab.analysis.frames.run_collection import RunCollection
from rnnlab.analysis.frames.runs_frame import DAMAGED
from rnnlab.analysis.report.encodings import Encodings
from rnnlab.analysis.report.number_text import format_axis, format_decades

MAX_NETWORKS = 4
"""Maximum number of conditions in the figures by layer."""
EXCLUDED = ("diverged", DAMAGED)
"""Outcomes of runs that are in no mean."""
ENDS = ("first", "last")


@dataclass(frozen=True)
class DeepNetwork:
    """The lag curves of each layer of networks that differ only in their seed.

    Attributes:
        values: Value of each sweep axis, as text.
        quantity: Quantity of the lag curves.
        gradients: Lag curves of the runs.
        maps: log10 of the gradient norm by layer and lag, at the first and the last recording.
        descriptions: Description of the first and of the last recording.
    """

    values: Mapping[str, str]
    quantity: str
    gradients: pd.DataFrame
    maps: tuple[pd.DataFrame, pd.DataFrame]
    descriptions: tuple[str, str]

    @property
    def is_trained(self) -> bool:
        """True if there are recordings of two training steps."""
        return self.descriptions[0] != self.descriptions[1]


def find_deep_networks(
    collection: RunCollection, encodings: Encodings, preferred: Mapping[str, Any]
) -> list[DeepNetwork]:
    """Return the conditions whose layers are drawn: one for each value of the colour axis, at most four.

    Among the conditions with the same value, the one with the most preferred values of the other axes is
    chosen, and among those the one with the most layers.

    Args:
        collection: Runs of the sweep.
        encodings: Assignment of the sweep axes to the visual properties of the figures.
        preferred: Values of the sweep axes in the condition with the best validation metric.

    Raises:
        ConnectionError: If MLflow does not respond.
    """
    frame = collection.frame.reset_index(drop=True)
    layers = pd.Series([_count_layers(run.config) for run in collection.runs], index=frame.index)
    deep = frame[(layers > 1) & ~frame["outcome"].astype(str).isin(EXCLUDED)]
    if deep.empty:
        return []
    others = [axis for axis in encodings.axes if axis not in (encodings.hue, "layers")]
    agreement = sum((_equal(deep[axis], preferred[axis]) for axis in others if axis in preferred), 0 * layers)
    order = pd.DataFrame({"agreement": agreement, "layers": layers}).loc[deep.index]
    order = order.sort_values(["agreement", "layers"], ascending=False, kind="stable")
    ranked = deep.loc[order.index]
    firsts = ranked.drop_duplicates([encodings.hue]) if encodings.hue else ranked[:1]
    keys = [*encodings.axes, "sweep"]
    condition = deep.groupby(keys, dropna=False, observed=True, sort=False).ngroup()
    networks: list[DeepNetwork] = []
    for index in sorted(firsts.index):
        members = condition.index[condition == condition[index]]
        values = {axis: format_axis(frame.at[index, axis], axis) for axis in encodings.axes}
        for quantity in ("h", "state"):  # `state` for a cell without a state h
            with suppress(ValueError):  # the probe made no recordings
                networks.append(_load(collection.select(members), values, quantity))
                break
        if len(networks) == MAX_NETWORKS:
            break
    return [network for network in networks if network.quantity == networks[0].quantity]


def _load(runs: RunCollection, values: Mapping[str, str], quantity: str) -> DeepNetwork:
    gradients = runs.gradients(quantity, "lag", "ends")
    ends = [by_layer(gradients, quantity, end, "mean") for end in ENDS]
    (first, before), (last, after) = ends
    if not np.isfinite(pd.concat([first, last]).to_numpy(dtype=float)).any():
        raise ValueError("no finite value")
    return DeepNetwork(values, quantity, gradients, (first, last), (before, after))


def _count_layers(config: Mapping[str, Any]) -> int:
    layers = config.get("layers", 1)
    return layers if isinstance(layers, int) else 1


def _equal(values: pd.Series, value: Any) -> pd.Series:
    return (values.isna() if pd.isna(value) else values == value).fillna(False).astype(int)


def name_networks(networks: Sequence[DeepNetwork]) -> tuple[str, list[str]]:
    """Return the axis values that all networks share, and those that identify each network."""
    shared = {item for item in networks[0].values.items() if all(item in n.values.items() for n in networks)}
    texts = [[item for item in network.values.items() if item not in shared] for network in networks]
    common = [item for item in networks[0].values.items() if item in shared]
    together, *names = (" ".join(f"{axis}={value}" for axis, value in items) for items in [common, *texts])
    return together, names


def describe_networks(networks: Sequence[DeepNetwork]) -> str:
    """Return the common axis values, and the decades by which the gradient changes up to the longest lag."""
    shared, names = name_networks(networks)
    changes: dict[int, list[str]] = {}
    for name, network in zip(names, networks, strict=True):
        last = network.maps[1]
        longest = int(last.columns[-1])
        change = (last[longest] - last[1]).dropna() if longest > 1 and 1 in last else pd.Series(dtype=float)
        values = ", ".join(f"{format_decades(decades)} in layer {layer}" for layer, decades in change.items())
        if values:
            changes.setdefault(longest, []).append(f"{name}: {values}" if name else values)
    sentences = [f"Shown: {shared}."] if shared else []
    when = "after" if any(network.is_trained for network in networks) else "before"
    sentences += (
        f"Change {when} training from lag 1 to lag {lag}, in decades: {'; '.join(texts)}."
        for lag, texts in changes.items()
    )
    return " ".join(sentences)


def draw_layer_maps(networks: Sequence[DeepNetwork]) -> np.ndarray:
    """Draw a heat map of the gradient by layer and lag, untrained above trained, for each network."""
    rows = 2 if any(network.is_trained for network in networks) else 1
    figure, axes = _panels(networks, rows, 2.4)
    values = np.concatenate([part.to_numpy(dtype=float).ravel() for net in networks for part in net.maps])
    limits = float(np.nanmin(values)), float(np.nanmax(values))
    for column, name, network in zip(axes.T, name_networks(networks)[1], networks, strict=True):
        for ax, wide, when in zip(column, network.maps[-rows:], network.descriptions[-rows:], strict=True):
            mesh = draw_map(wide, ax, limits)
            add_title(ax, *filter(None, (name, when)))
    for ax in axes[:, 0]:
        ax.set_ylabel("layer (1 reads\nthe inputs)")
    figure.colorbar(mesh, ax=axes, label=f"log₁₀ gradient norm w.r.t. {networks[0].quantity}")
    return axes


def draw_curves_of_layers(networks: Sequence[DeepNetwork]) -> np.ndarray:
    """Draw the lag curves of the layers of each network, on one scale."""
    _, axes = _panels(networks, 1, 3.6)
    is_same = len({len(network.maps[1]) for network in networks}) == 1
    for ax, name, network in zip(axes[0], name_networks(networks)[1], networks, strict=True):
        draw_layer_curves(network.gradients, ax, network.quantity, run="mean")
        add_title(ax, *filter(None, (name, network.descriptions[1])))
        if ax is not axes[0, 0]:
            ax.set_ylabel("")
        if is_same and ax is not axes[0, -1]:
            ax.get_legend().remove()
    return axes


def _panels(networks: Sequence[DeepNetwork], rows: int, height: float) -> tuple[Any, np.ndarray]:
    import matplotlib.pyplot as plt

    columns = len(networks)
    size = (max(5.6, 3.6 * columns + 1), height * rows + 0.6)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for ax in axes[-1]:
        ax.set_xlabel("lag k (time steps back)")
    return figure, axes
