"""Messages of Hydra and OmegaConf, made by the mistakes that they are about."""

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
    """What Hydra raises over a command line."""
    with pytest.raises(Exception) as caught:
        loader_of(folder).load_configuration(
            "config", list(overrides), RunMode.MULTIRUN if multirun else RunMode.RUN
        )
    return caught.value


def said_of(*overrides: str, multirun: bool = False) -> Callable[[Path], str]:
    return lambda _: str(refusal(*overrides, multirun=multirun))


def said_of_value(override: str) -> Callable[[Path], str]:
    """What OmegaConf says of a value that a key does not take."""
    return lambda _: str(refusal(override).__cause__)


def with_option(folder: Path, text: str) -> Path:
    (folder / "experiment").mkdir()
    (folder / "experiment" / "own.yaml").write_text(f"# @package _global_\n{text}\n")
    return folder


def said_of_file(text: str) -> Callable[[Path], str]:
    """What Hydra says of an option that does not fit."""
    return lambda folder: str(refusal("experiment=own", folder=with_option(folder, text)))


def said_of_interpolation(value: str) -> Callable[[Path], str]:
    """The first line of what OmegaConf says of a value when it is looked up."""

    def say(_: Path) -> str:
        setup_globals()
        HydraConfig.instance().cfg = None
        with pytest.raises(OmegaConfBaseException) as caught:
            OmegaConf.create({"group": {"key": value, "empty": "???"}}).group.key  # noqa: B018
        return str(caught.value).splitlines()[0].strip().strip('"')

    return say


def said_of_key(folder: Path) -> str:
    with pytest.raises(OmegaConfBaseException) as caught:
        OmegaConf.create({"group": {"key": "${nowhere}"}}).group.key  # noqa: B018
    return str(caught.value)


MESSAGES: list[tuple[Phrase, Callable[[Path], str], tuple[str, ...]]] = [
    (Phrase.EMPTY_CHOICE, said_of("seed=choice()", multirun=True), ()),
    (Phrase.AMBIGUOUS, said_of("cell=rnn,lstm"), ()),
    (Phrase.NEEDS_MULTIRUN, said_of("seed=range(3)"), ()),
    (Phrase.NEEDS_MULTIRUN, said_of("cell=glob(*)"), ()),
    (Phrase.NOT_IN_DEFAULTS, said_of("measurement=gates"), ()),
    (Phrase.NOT_IN_DEFAULTS, said_of("cell@foo=rnn"), ()),
    (Phrase.CHOSEN_TWICE, said_of("+cell=lstm"), ()),
    (Phrase.NOT_CHOSEN, said_of("~experiment=fading"), ("experiment=fading",)),
    (Phrase.NOT_AN_OPTION, said_of("cell=5"), ()),
    (Phrase.UNRESOLVED_GROUP, said_of("cell=${x}"), ("${x}", "experiment, tracking, probe, initial_state, init, optimizer, task")),
    (Phrase.NO_SUCH_KEY, said_of("hiden_size=8"), ()),
    (Phrase.NOT_MERGED, said_of("hydra.mode=x"), ("hydra.mode=x",)),
    (Phrase.DELETED_OTHER_VALUE, said_of("~optimizer.beta1=5"), ("optimizer.beta1", "0.9")),
    (Phrase.NOTHING_TO_DELETE, said_of("~xyz"), ("xyz",)),
    (Phrase.ADDED_TWICE, said_of("+cell.bias=1"), ("cell.bias",)),
    (Phrase.FILE_NOT_MERGED, said_of_file("hydra: {mode: x}"), ("experiment/own", "Invalid value 'x', expected one of [RUN, MULTIRUN]\n    full_key: hydra.mode\n    object_type=HydraConf")),
    (Phrase.EXPECTED_ONE_OF, said_of_value("hydra.mode=x"), ("RUN, MULTIRUN",)),
    (Phrase.NOT_OPTIONAL, said_of_value("hydra.run.dir=null"), ()),
    (Phrase.KEY_NOT_TEXT, said_of_value("hydra.job.env_set={5:a}"), ()),
    (Phrase.MAPPING_EXPECTED, said_of_value("hydra.callbacks=5"), ()),
    (Phrase.MAPPING_EXPECTED, said_of_value("hydra.sweep=[1]"), ()),
    (Phrase.MAPPING_EXPECTED, said_of_file("hydra: {run: 5}"), ()),
    (Phrase.NO_KEY_REFERENCED, said_of_interpolation("${nowhere}"), ("nowhere",)),
    (Phrase.MISSING_VALUE, said_of_interpolation("???"), ("group.key",)),
    (Phrase.MISSING_VALUE, said_of_interpolation("${.empty}"), ("group.empty",)),
    (Phrase.HYDRA_NOT_SET, said_of_interpolation("${hydra:job.num}"), ()),
    (Phrase.NO_ENVIRONMENT_VARIABLE, said_of_interpolation("${oc.env:NOPE}"), ("Environment variable 'NOPE' not found",)),
    (Phrase.NO_SUCH_RESOLVER, said_of_interpolation("${foo:1}"), ("Unsupported interpolation type foo",)),
    (Phrase.WHILE_RESOLVING, said_of_interpolation("${oc.decode:'{'}"), ()),
    (Phrase.QUOTED, said_of("hiden_size=8"), ("hiden_size",)),
    (Phrase.QUOTED, said_of("cell=rnn,lstm"), ("cell=rnn,lstm",)),
    (Phrase.QUOTED, said_of("seed=range(3)"), ("seed=range(3)",)),
    (Phrase.QUOTED, said_of_interpolation("${nowhere}"), ("nowhere",)),
    (Phrase.FULL_KEY, said_of_file("hydra: {mode: x}"), ("hydra.mode",)),
    (Phrase.LOCATION, said_of_key, ()),
    (Phrase.TOO_MANY_DIGITS, said_of(f"lr={'1' * 5000}"), ()),
]  # fmt: skip
"""What makes Hydra or OmegaConf write each phrase, and what rnnlab reads from it."""
