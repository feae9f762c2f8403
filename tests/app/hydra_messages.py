"""Error messages of Hydra and OmegaConf, produced by the mistakes that they describe."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.paths import conf_dir


def loader_of(folder: Path | None = None) -> Any:
    loading = importlib.import_module("rnnlab.app.config.loading")
    return loading.loader_of(conf_dir(), folder and str(folder))


def refusal(*overrides: str, folder: Path | None = None, multirun: bool = False) -> Exception:
    """Return the exception that Hydra raises for a command line."""
    with pytest.raises(Exception) as caught:
        loader_of(folder).load_configuration(
            "config", list(overrides), RunMode.MULTIRUN if multirun else RunMode.RUN
        )
    return caught.value


def message_of(*overrides: str, multirun: bool = False) -> Callable[[Path], str]:
    return lambda _: str(refusal(*overrides, multirun=multirun))


def message_of_value(override: str) -> Callable[[Path], str]:
    """Return OmegaConf's message about a value that a key does not accept."""
    return lambda _: str(refusal(override).__cause__)


def with_option(folder: Path, text: str) -> Path:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "own.yaml").write_text(f"# @package _global_\n{text}\n")
    return folder


def message_of_file(text: str) -> Callable[[Path], str]:
    """Return Hydra's message about an option file that violates its schema."""
    return lambda folder: str(refusal("experiment=own", folder=with_option(folder, text)))


def message_of_interpolation(value: str) -> Callable[[Path], str]:
    """Return the first line of OmegaConf's message about a value that cannot be resolved."""

    def message(_: Path) -> str:
        setup_globals()
        HydraConfig.instance().cfg = None
        with pytest.raises(OmegaConfBaseException) as caught:
            OmegaConf.create({"group": {"key": value, "empty": "???"}}).group.key  # noqa: B018
        return str(caught.value).splitlines()[0].strip().strip('"')

    return message


def message_of_key(folder: Path) -> str:
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.create({"group": {"key": "${nowhere}"}}).group.key  # noqa: B018
    return str(caught.value)


MESSAGES: list[tuple[Phrase, Callable[[Path], str], tuple[str, ...]]] = [
    (Phrase.EMPTY_CHOICE, message_of("seed=choice()", multirun=True), ()),
    (Phrase.AMBIGUOUS, message_of("cell=rnn,lstm"), ()),
    (Phrase.NEEDS_MULTIRUN, message_of("seed=range(3)"), ()),
    (Phrase.NEEDS_MULTIRUN, message_of("cell=glob(*)"), ()),
    (Phrase.NOT_IN_DEFAULTS, message_of("measurement=gates"), ()),
    (Phrase.NOT_IN_DEFAULTS, message_of("cell@foo=rnn"), ()),
    (Phrase.CHOSEN_TWICE, message_of("+cell=lstm"), ("cell",)),
    (Phrase.NOT_CHOSEN, message_of("~experiment=fading"), ("experiment=fading",)),
    (Phrase.NOT_AN_OPTION, message_of("cell=5"), ()),
    (Phrase.UNRESOLVED_GROUP, message_of("cell=${x}"), ("${x}", "experiment, tracking, probe, initial_state, init, optimizer, task")),
    (Phrase.NO_SUCH_KEY, message_of("hiden_size=8"), ()),
    (Phrase.NOT_MERGED, message_of("hydra.mode=x"), ("hydra.mode=x",)),
    (Phrase.DELETED_OTHER_VALUE, message_of("~optimizer.beta1=5"), ("optimizer.beta1", "0.9")),
    (Phrase.NOTHING_TO_DELETE, message_of("~xyz"), ("xyz",)),
    (Phrase.ADDED_TWICE, message_of("+cell.bias=1"), ("cell.bias",)),
    (Phrase.FILE_NOT_MERGED, message_of_file("hydra: {mode: x}"), ("experiment/own", "Invalid value 'x', expected one of [RUN, MULTIRUN]\n    full_key: hydra.mode\n    object_type=HydraConf")),
    (Phrase.EXPECTED_ONE_OF, message_of_value("hydra.mode=x"), ("RUN, MULTIRUN",)),
    (Phrase.NOT_OPTIONAL, message_of_value("hydra.run.dir=null"), ()),
    (Phrase.KEY_NOT_TEXT, message_of_value("hydra.job.env_set={5:a}"), ()),
    (Phrase.MAPPING_EXPECTED, message_of_value("hydra.callbacks=5"), ()),
    (Phrase.MAPPING_EXPECTED, message_of_value("hydra.sweep=[1]"), ()),
    (Phrase.MAPPING_EXPECTED, message_of_file("hydra: {run: 5}"), ()),
    (Phrase.NO_KEY_REFERENCED, message_of_interpolation("${nowhere}"), ("nowhere",)),
    (Phrase.MISSING_VALUE, message_of_interpolation("???"), ("group.key",)),
    (Phrase.MISSING_VALUE, message_of_interpolation("${.empty}"), ("group.empty",)),
    (Phrase.HYDRA_NOT_SET, message_of_interpolation("${hydra:job.num}"), ()),
    (Phrase.NO_ENVIRONMENT_VARIABLE, message_of_interpolation("${oc.env:NOPE}"), ("Environment variable 'NOPE' not found",)),
    (Phrase.NO_SUCH_RESOLVER, message_of_interpolation("${foo:1}"), ("Unsupported interpolation type foo",)),
    (Phrase.WHILE_RESOLVING, message_of_interpolation("${oc.decode:'{'}"), ()),
    (Phrase.QUOTED, message_of("hiden_size=8"), ("hiden_size",)),
    (Phrase.QUOTED, message_of("cell=rnn,lstm"), ("cell=rnn,lstm",)),
    (Phrase.QUOTED, message_of("seed=range(3)"), ("seed=range(3)",)),
    (Phrase.QUOTED, message_of_interpolation("${nowhere}"), ("nowhere",)),
    (Phrase.FULL_KEY, message_of_file("hydra: {mode: x}"), ("hydra.mode",)),
    (Phrase.LOCATION, message_of_key, ()),
    (Phrase.TOO_MANY_DIGITS, message_of(f"lr={'1' * 5000}"), ()),
]  # fmt: skip
"""Each phrase, a function that makes Hydra or OmegaConf produce it, and the text that rnnlab extracts from it."""
