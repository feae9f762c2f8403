"""What a user who mistyped something may have meant."""

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from rnnlab.paths import conf_dir

SYNONYMS = {
    **dict.fromkeys(("learning_rate", "eta", "step_size"), "lr"),
    **dict.fromkeys(("epochs", "iterations", "updates", "max_steps", "n_steps"), "steps"),
    **dict.fromkeys(("grad_clip", "clip_norm", "max_norm", "max_grad_norm", "threshold"), "clip"),
    **dict.fromkeys(("T", "length", "sequence_length", "time_steps", "bptt"), "seq_len"),
    **dict.fromkeys(("model", "network", "rnn"), "cell"),
    **dict.fromkeys(("data", "dataset"), "task"),
    **dict.fromkeys(("text", "file", "path"), "task.path"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(("H", "units", "n_hidden", "num_units"), "hidden_size"),
    **dict.fromkeys(("precision", "float"), "dtype"),
    **dict.fromkeys(("workers", "n_jobs", "processes"), "jobs"),
}
"""What other programs call a key."""
CUTOFF = 0.65
"""How similar, by difflib, what was meant must be; with its own 0.6 forget_bias would be readout_bias."""


@dataclass(frozen=True)
class Known:
    """What there is to choose from.

    Attributes:
        keys: Every key, groups included, with its dots.
        choices: The chosen option of each group.
    """

    keys: Sequence[str] = ()
    choices: Mapping[str, str] = field(default_factory=dict)

    def siblings(self, key: str) -> tuple[str, list[str]]:
        """The innermost existing group that a key names, and all that is directly in there."""
        parent = key.rpartition(".")[0]
        while parent and parent not in self.keys:
            parent = parent.rpartition(".")[0]
        inside = [
            k for k in self.keys if k.rpartition(".")[0] == parent and not k.endswith(("_target_", "."))
        ]
        return parent, inside


def no_such_key(key: str, known: Known) -> str:
    """Say of a key that it does not exist, and what was meant or there is."""
    parent, siblings = known.siblings(key)
    chosen = known.choices.get(parent)
    lacking = f"{parent}={chosen} has no such key" if chosen else "no such key"
    name = key.rpartition(".")[2]
    meant = SYNONYMS.get(key) or next((k for k in known.keys if k.rpartition(".")[2] == name), None)
    if meant is None and (there := _elsewhere(key, known)):
        return f"{lacking}; {there}"
    meant = meant or nearest(key, siblings)
    if meant is not None:
        return f"{lacking}; did you mean {meant}?"
    if parent:
        there = ", ".join(sibling.rpartition(".")[2] for sibling in siblings)
        return f"{lacking}; there are {there or 'none'}"
    return f"{lacking}; --help shows all" if known.keys else lacking


def no_such_option(name: str, allowed: Sequence[str]) -> str:
    """Say of an option that it does not exist, which was meant and which there are."""
    meant = nearest(name, allowed)
    return f"no such option; {f'did you mean {meant}? ' if meant else ''}allowed: {', '.join(allowed)}"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The most similar word, whatever the case and whether with dashes, or None."""
    folded = {_folded(other): other for other in words}
    found = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=CUTOFF)
    return folded[found[0]] if found else None


def quoted(override: str) -> str | None:
    """What to type in a shell for a value with special characters; None where no quotes help."""
    key, equals, value = override.partition("=")
    if not value.isprintable():
        return None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inner = value.replace("\\", "\\\\").replace('"', '\\"')
    written = f'{key}="{inner}"'
    try:
        parsed = OverridesParser.create().parse_override(written)
    except HydraException:
        return None
    return shlex.quote(written) if equals and str(parsed.value()) == value else None


def _elsewhere(key: str, known: Known) -> str | None:
    """Which option that was not chosen has a key, or one that ends so."""
    if key.startswith("probe.measurements."):
        measurement = key.split(".")[2]
        is_one = (conf_dir() / "measurement" / f"{measurement}.yaml").is_file()
        is_one = is_one and f"probe.measurements.{measurement}" not in known.keys
        return f"+measurement={measurement} adds it" if is_one else None
    groups = [folder for folder in sorted(conf_dir().iterdir()) if folder.is_dir()]
    for file in (file for group in groups for file in sorted(group.glob("*.yaml"))):
        group = file.parent.name
        there = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found = next((f"{group}.{name}" for name in there if key in (name, f"{group}.{name}")), None)
        if found is not None and group not in ("experiment", "measurement"):
            return f"{group}={file.stem} has {found}"
    return None


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")
