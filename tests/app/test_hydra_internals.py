"""Canary tests of the private names and messages of Hydra and OmegaConf that rnnlab uses.

If a canary fails after an upgrade, its message names the entry of `rnnlab.app.config.hydra_internals` to adapt.
"""

import ast
import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra.utils
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnlab.app.config.hydra_internals.phrases import Phrase
from rnnlab.paths import conf_dir
from tests.app.hydra_messages import (
    MESSAGES,
    loader_of,
    message_of_interpolation,
    message_of_key,
    refusal,
    with_option,
)

ROOM = Path(__file__, "../../../rnnlab").resolve()
PACKAGE = ROOM / "app" / "config" / "hydra_internals"
INSTALLED = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in ("hydra-core", "omegaconf"))


def private() -> Any:
    """Import the module under test late, so that a canary reports a name that Hydra lacks."""
    return importlib.import_module("rnnlab.app.config.hydra_internals.private_api")


@pytest.mark.parametrize(
    ("phrase", "say", "read"), MESSAGES, ids=[f"{s[0].name}-{i}" for i, s in enumerate(MESSAGES)]
)
def test_hydra_still_words_it_so(phrase: Phrase, say: Callable[[Path], str], read: tuple[str, ...], tmp_path: Path) -> None:  # fmt: skip
    message = say(tmp_path)
    found = phrase.find(message)
    if found is None or found.groups() != read:
        pytest.fail(
            f"{INSTALLED} word this differently now ({phrase.meaning}): they say {message!r}, of which {phrase} "
            f"({phrase.pattern.pattern!r}) finds {found and found.groups()} instead of {read}. Look at "
            f"{phrase.source} in site-packages, adapt {phrase} in {PACKAGE / 'phrases.py'}, and run "
            "tests/app/test_messages.py."
        )


def test_every_phrase_has_a_canary() -> None:
    assert {phrase for phrase, *_ in MESSAGES} == set(Phrase)


def test_redaction_of_a_message_keeps_the_reason() -> None:
    assert Phrase.LOCATION.remove_from(message_of_key(Path())) == "Interpolation key 'nowhere' not found"
    message = message_of_interpolation("${oc.env:NOPE}")(Path())
    assert Phrase.WHILE_RESOLVING.remove_from(message).strip("'\"") == "Environment variable 'NOPE' not found"


def parsed(line: str) -> Any:
    return OverridesParser.create().parse_override(line)


def composed(*overrides: str) -> DictConfig:
    config = loader_of().load_configuration("config", list(overrides), RunMode.RUN)
    assert isinstance(config, DictConfig)
    return config


def try_parser() -> None:
    flags = {"help", "hydra_help", "cfg", "resolve", "package", "multirun", "shell_completion", "info"}
    refused = {"config_name", "config_path", "experimental_rerun", "run", "overrides", "config_dir"}
    assert vars(private().command_line_parser().parse_args(["a=1"])).keys() == flags | refused


def try_search_path() -> None:
    providers = [source.provider for source in private().search_path_of(conf_dir()).get_path()]
    assert providers[:2] == ["hydra", "main"] and providers[-1] == "schema"


def try_context() -> None:
    loader = loader_of()
    context = private().context_of(loader)
    assert context.config_loader is loader and context.callbacks.callbacks == []


def try_dirname() -> None:
    config = composed("seed=3", "cell=lstm")
    settings = config.hydra.job.config.override_dirname
    dirname = private().override_dirname([parsed("seed=3"), parsed("cell=lstm")], settings)
    assert dirname == config.hydra.job.override_dirname == "cell=lstm,seed=3"


def try_number() -> None:
    for line, value in (("seed=3", 3), ("+lr=0.5", 0.5)):
        override = private().override_with_number(parsed(line.partition("=")[0] + "=1,2"), value, line)
        assert override == parsed(line) and override.value() == value


def try_reader(folder: Path) -> None:
    class Reader(private().FileReader):  # type: ignore[misc]
        def load_config(self, config_path: str) -> Any:
            read.append(config_path)
            return super().load_config(config_path)

    read: list[str] = []
    path = private().search_path_of(conf_dir())
    private().HydraLoader(path, Reader(path)).load_configuration("config", ["cell=lstm"], RunMode.RUN)
    assert {"config", "cell/lstm", "hydra/config"} <= set(read)
    found = Reader(path).load_config("experiment/quick")
    assert found.header["package"] == "_global_" and isinstance(found.config, DictConfig)
    assert Reader(path).group_exists("cell") and not Reader(path).group_exists("seed")
    own = private().FileReader(private().search_path_of(folder))
    for text in (
        "a: {b: 1}",
        "a: {b: 22}",
    ):  # a file that changes is read again, a result that changes is not kept
        (folder / "own.yaml").write_text(text)
        own.load_config("own").config.a.b = None
        assert own.load_config("own").config == OmegaConf.create(text)
    (folder / "own.yaml").unlink()
    assert own.load_config("own") is None


def try_loader(folder: Path) -> None:
    class Loader(private().HydraLoader):  # type: ignore[misc]
        def check_search_path(self, primary: Any, overrides: Any) -> None:
            asked.append((primary, [override.input_line for override in overrides]))

    asked: list[Any] = []
    path = private().search_path_of(conf_dir())
    loader = Loader(path, private().FileReader(path))
    (folder / "cell").mkdir()
    (folder / "cell" / "own.yaml").write_text("bias: false")
    lines = [f"hydra.searchpath=['{folder}']", "cell=own"]
    config = loader.load_configuration("config", lines, RunMode.RUN)
    assert asked[0][0].seq_len and asked[0][1] == lines and config.cell == {"bias": False}
    values = [parsed(line) for line in ("seed=7", "+cell.own={a: 1}", "++lr=1", "~cell.bias")]
    loader.set_values(config, values)
    assert (config.seed, config.lr, config.cell) == (7, 1, {"own": {"a": 1}})


def try_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of help works with an invalid logging configuration."""
    arguments = ["hydra.hydra_logging={version: 1, root: {handlers: [nowhere]}}"]
    parser = private().command_line_parser()
    args = parser.parse_args(arguments)
    root = logging.getLogger()
    before = root.handlers[:], root.level  # Hydra's info adds a handler on today's stdout
    shown = private().HydraWithoutLogging("rnnlab", loader_of())
    GlobalHydra.instance().initialize(shown)
    try:
        for show, expected in (
            (lambda: shown.app_help("config", parser, args), "seq_len"),
            (lambda: shown.hydra_help("config", parser, args), "--hydra-help"),
            (lambda: shown.show_cfg("config", arguments, "job", None, False), "seq_len"),
            (lambda: shown.show_cfg("config", arguments, "job", "cell", True), "# @package cell"),
            (lambda: shown.show_info("defaults", "config", arguments), "cell/rnn"),
            (lambda: shown.shell_completion("config", ["install=bash"]), "complete -o"),
        ):
            show()
            assert expected in capsys.readouterr().out, f"{expected} is not shown"
        with pytest.raises(SystemExit):
            shown.show_cfg("config", arguments, "job", "nowhere", False)
    finally:
        GlobalHydra.instance().clear()
        root.handlers[:], root.level = before
    assert "with_log_configuration" in inspect.signature(type(shown).__base__.compose_config).parameters


TREE = {"null": None, "missing": "???", "refers": "${value}", "value": 5, "list": [1, "${value}"]}


def try_nodes() -> None:
    api, tree = private(), OmegaConf.create(TREE)
    nodes = dict(api.children(tree))
    assert nodes.keys() == TREE.keys() and all(isinstance(node, Node) for node in nodes.values())
    assert all(nodes[key] is api.node_at(tree, key) for key in TREE) and api.node_at(tree, "none") is None
    for name, holds in (("null", api.is_null), ("missing", api.is_missing), ("refers", api.is_interpolation)):
        assert [key for key in TREE if holds(nodes[key])] == [name]
    assert api.raw_value(nodes["refers"]) == "${value}" and api.raw_value(nodes["value"]) == 5
    assert api.dereference(nodes["refers"]) is nodes["value"]
    items = list(api.children(nodes["list"]))
    assert isinstance(nodes["list"], ListConfig) and [index for index, _ in items] == [0, 1]
    assert api.is_interpolation(items[1][1])


def try_plugins() -> None:
    config = composed().hydra
    assert config.launcher._target_ == private().BASIC_LAUNCHER
    assert config.sweeper._target_ == private().BASIC_SWEEPER
    assert hydra.utils.get_class(private().BASIC_LAUNCHER) and hydra.utils.get_class(private().BASIC_SWEEPER)


CANARIES: dict[Callable[..., None], tuple[str, ...]] = {
    try_parser: ("command_line_parser",),
    try_search_path: ("search_path_of",),
    try_context: ("context_of",),
    try_dirname: ("override_dirname",),
    try_number: ("override_with_number",),
    try_reader: ("FileReader",),
    try_loader: ("HydraLoader",),
    try_help: ("HydraWithoutLogging",),
    try_nodes: (
        "node_at",
        "children",
        "is_null",
        "is_missing",
        "is_interpolation",
        "raw_value",
        "dereference",
    ),
    try_plugins: ("BASIC_LAUNCHER", "BASIC_SWEEPER"),
}


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.__name__)
def test_hydra_still_works_so(
    canary: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"folder": tmp_path, "capsys": capsys}
    try:
        canary(**{name: given[name] for name in inspect.signature(canary).parameters})
    except Exception as error:
        names = ", ".join(CANARIES[canary])
        raise AssertionError(
            f"{INSTALLED} changed what is private to them, and {names} in {PACKAGE / 'private_api.py'} must follow: "
            f"{type(error).__name__}: {error}. Compare the module that {names} uses, in site-packages, with the "
            "version before, adapt the body and keep the name, and run tests/app."
        ) from error


def test_every_private_name_has_a_canary() -> None:
    tree = ast.parse((PACKAGE / "private_api.py").read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    constants = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    assert {name for names in CANARIES.values() for name in names} == defined | constants


def _imports(file: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


@pytest.mark.parametrize(("module", "name"), [i for i in _imports(PACKAGE / "private_api.py") if i[0].startswith("hydra._")])  # fmt: skip
def test_hydra_still_has_it(module: str, name: str) -> None:
    try:
        getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AssertionError(
            f"{INSTALLED}: {module} has no {name} any more. Find where Hydra has moved it, or what has its place, and "
            f"adapt {PACKAGE / 'private_api.py'}, which alone imports it."
        ) from error


def test_poorly_documented_public_names_of_hydra(tmp_path: Path) -> None:
    """`messages.py` and `sweep_axes.py` use attributes of exceptions and public equivalents of private names."""
    unread = refusal("cell=lstm", "a=b=c")
    assert isinstance(unread, OverrideParseException) and unread.override == "a=b=c"
    wrapped = refusal("experiment=own", folder=with_option(tmp_path, "hydra: [1]"))
    assert str(wrapped) == "" and isinstance(wrapped.__cause__, OmegaConfBaseException)
    missing = refusal("cell=elman")
    assert isinstance(missing, MissingConfigException) and missing.missing_cfg_file == "cell/elman"
    assert missing.options == ["gru", "lstm", "rnn"]
    unfit = refusal("hydra.run.dir=null")
    assert isinstance(unfit, ConfigCompositionException) and unfit.__cause__.full_key == "hydra.run.dir"  # type: ignore[union-attr]
    axis = parsed("lr=1,'2',null,[a,b]")
    assert list(map(Transformer.str, axis.sweep_iterator())) == list(axis.sweep_string_iterator())
    returned = JobReturn(status=JobStatus.COMPLETED)
    returned.return_value = 0.5
    assert returned.return_value == 0.5
