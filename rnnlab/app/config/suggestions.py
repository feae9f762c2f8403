"""Suggestions for mistyped keys, options and values."""

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from rnnlab.paths import conf_dir
from rnnlab.runs.run_json import YAML_LOADER

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
"""Map from key names used in other software to the corresponding rnnlab keys."""
CUTOFF = 0.65
"""Minimum similarity for a suggestion.

With difflib's default cutoff of 0.6, `readout_bias` would be suggested for `forget_bias`.
"""


@dataclass(frozen=True)
class KeyIndex:
    """Index of the existing keys and chosen options, from which suggestions are derived.

    Attributes:
        keys: All configuration keys, in dotted form, including the names of groups.
        choices: Chosen option of each configuration group.
    """

    keys: Sequence[str] = ()
    choices: Mapping[str, str] = field(default_factory=dict)

    def siblings(self, key: str) -> tuple[str, list[str]]:
        """Return the innermost existing parent of a dotted key and the keys directly inside that parent."""
        parent = key.rpartition(".")[0]
        while parent and parent not in self.keys:
            parent = parent.rpartition(".")[0]
        inside = [
            k for k in self.keys if k.rpartition(".")[0] == parent and not k.endswith(("_target_", "."))
        ]
        return parent, inside


def explain_unknown_key(key: str, index: KeyIndex) -> str:
    """Return a message that reports an unknown key and suggests a similar key or lists the available keys."""
    parent, siblings = index.siblings(key)
    choice = index.choices.get(parent)
    problem = f"unknown key of {parent}={choice}" if choice else "unknown key"
    name = key.rpartition(".")[2]
    suggestion = SYNONYMS.get(key) or next((k for k in index.keys if k.rpartition(".")[2] == name), None)
    if suggestion is None and (option := _option_with_key(key, index)):
        return f"{problem}; {option}"
    suggestion = suggestion or nearest(key, siblings)
    if suggestion is not None:
        return f"{problem}; did you mean {suggestion}?"
    if parent:
        available = ", ".join(sibling.rpartition(".")[2] for sibling in siblings)
        return f"{problem}; available: {available or 'none'}"
    return f"{problem}; --help lists all keys" if index.keys else problem


def explain_unknown_option(name: str, allowed: Sequence[str]) -> str:
    """Return a message that reports an unknown option, suggests a similar one and lists all options."""
    suggestion = nearest(name, allowed)
    question = f"did you mean {suggestion}? " if suggestion else ""
    return f"unknown option; {question}allowed: {', '.join(allowed)}"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the word most similar to `word`, or None; case and the choice of `-` or `_` are ignored."""
    originals = {_fold(other): other for other in words}
    matches = difflib.get_close_matches(_fold(word), originals, n=1, cutoff=CUTOFF)
    return originals[matches[0]] if matches else None


def quote_override(override: str) -> str | None:
    """Return an override quoted for both the shell and Hydra, or None if quoting would alter the value."""
    # Worker processes import this module but do not need Hydra, which takes a quarter of their start-up time.
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    if not value.isprintable():
        return None
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inner = value.replace("\\", "\\\\").replace('"', '\\"')
    line = f'{key}="{inner}"'
    try:
        parsed_override = OverridesParser.create().parse_override(line)
    except HydraException:
        return None
    return shlex.quote(line) if equals and str(parsed_override.value()) == value else None


def _option_with_key(key: str, index: KeyIndex) -> str | None:
    """Return a hint that names another option that has this key, or None if no option has it."""
    if key.startswith("probe.measurements."):
        measurement = key.split(".")[2]
        exists = (conf_dir() / "measurement" / f"{measurement}.yaml").is_file()
        can_be_added = exists and f"probe.measurements.{measurement}" not in index.keys
        return f"add it with +measurement={measurement}" if can_be_added else None
    groups = [folder for folder in sorted(conf_dir().iterdir()) if folder.is_dir()]
    for file in (file for group in groups for file in sorted(group.glob("*.yaml"))):
        group = file.parent.name
        names = yaml.load(file.read_text(encoding="utf-8"), YAML_LOADER) or {}
        match = next((f"{group}.{name}" for name in names if key in (name, f"{group}.{name}")), None)
        if match is not None and group not in ("experiment", "measurement"):
            return f"{group}={file.stem} has the key {match}"
    return None


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")
