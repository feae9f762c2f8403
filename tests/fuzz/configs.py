"""Random command lines from the schema: all keys of all classes of rnnlab, with values of all kinds."""

import dataclasses
import importlib
import sys
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from rnnlab.app.config.loading import CONFIG_NAME
from rnnlab.app.config.settings import SUPPLIED, Settings
from rnnlab.app.config.validation import fields
from rnnlab.diagnostics import Probe, Schedule
from rnnlab.paths import conf_dir
from tests.app.test_options import OPTIONS

SMALL = {
    **{"steps": "2", "hidden_size": "4", "batch_size": "3", "seq_len": "10", "figures": "false"},
    "task.sample_length": "5",
}
"""Overrides that keep a run small unless other values are drawn."""
KEYS_OF_HYDRA = (
    *(
        "hydra.run.dir",
        "hydra.sweep.dir",
        "hydra.sweep.subdir",
        "hydra.mode",
        "hydra/launcher",
        "hydra/sweeper",
    ),
    *("hydra.sweeper.params", "hydra.job.name", "hydra.job.chdir", "hydra.output_subdir", "hydra.verbose"),
    *("hydra.launcher._target_", "hydra.callbacks", "hydra.callbacks.x._target_", "hydra.searchpath"),
    *("hydra.sweeper.max_batch_size", "hydra.job.config.override_dirname.kv_sep", "hydra", "hydra.job"),
)
EXTREMES = (
    *(
        "1e39",
        "-1e39",
        "3.5e38",
        "-1e308",
        "1e-46",
        "-1e-46",
        "1e-60",
        "1e-320",
        "1" + "0" * 39,
        "-" + "9" * 45,
    ),
    *("3.4e38", "1e38", "1e-45"),
)
"""Numbers near the limits of float32."""
NUMBERS = (
    *("0", "-1", "1", "2", "3", "0.5", "-0.0", "1e-320", "1e308", "1e400", "nan", "inf", "-inf", "NaN"),
    *(
        "1_000",
        "0x10",
        "007",
        "1e3",
        ".5",
        "5.",
        "1" * 30,
        "-" + "9" * 400,
        "9" * 5000,
        str(2**63),
        str(2**31),
    ),
)
WORDS = (
    *("", "null", "true", "False", "???", "none", "a b", "rnn", "lstm", "last", "os.system", "/", "..", "."),
    *(
        "é",
        "日本",
        "🎉",
        "a\u0301",
        "\x00",
        "\n",
        "\t",
        "\\",
        "'",
        '"',
        "a'b",
        "#",
        "%",
        "$",
        "~",
        "=",
        "a=b",
        "(",
        ")",
    ),
    *("\ud800", "\udcff", "[bold]", "<b>", "a,b", "1,2", "nan,1", "null,1", "a" * 300, "x" * 5000),
)
TREES = (
    *(
        "[]",
        "{}",
        "[1,2]",
        "[[1],[2]]",
        "[null]",
        "[nan]",
        "{a:1}",
        "{a:{b:[1]}}",
        "{_target_:os.system}",
        "[,]",
    ),
    *("{_target_:rnnlab.cells.LSTM}", "[" * 60 + "]" * 60, "{a:" * 60 + "1" + "}" * 60, "{1:2}", "{null:1}"),
)
FUNCTIONS = (
    *(
        "range(3)",
        "choice(1,2)",
        "shuffle(1,2)",
        "interval(0,1)",
        "glob(*)",
        "glob(r*)",
        "int(3.5)",
        "int(a)",
    ),
    *("float(1)", "str(1)", "bool(1)", "sort(2,1)", "extend_list(1)", "json_str(1)", "cast(1)", "range(0)"),
    *("range(1,0)", "range(0,1,0)", "choice()", "tag(a,1)", "f(", "range(1.5)", "glob([r*],exclude=rnn)"),
)
AXES = (
    *(
        "range(5,1)",
        "range(0)",
        "choice()",
        "glob(zzz*)",
        "range(1000000000)",
        "range(0,1,1e-9)",
        "range(0,1,0)",
    ),
    *("range(0,inf)", "range(0,9,nan)", "range(9,0)", "range(0,1,1e-400)", "shuffle(range(1000000000))"),
    *(
        "interval(0,1)",
        "range(-1e308,1e308,1e300)",
        "range(0," + "9" * 400 + ")",
        "tag(t,range(3))",
        "sort(2,1)",
    ),
)
"""Invalid axes: without values, with too many values, or malformed."""
PARAMS = (
    *(
        "[1]",
        "5",
        "text",
        "null",
        "{}",
        "{seed:[1,2]}",
        "{seed:[]}",
        "{seed:null}",
        "{seed:''}",
        "{seed:{a:1}}",
    ),
    *(
        "{seed:'0,1'}",
        "{seed:'range(2)'}",
        "{seed:'range(5,1)'}",
        "{seed:'range(1000000000)'}",
        "{seed:'choice()'}",
    ),
    *(
        "{seed:3}",
        "{cell.bias:true}",
        "{sede:'1,2'}",
        "{hydra.job.name:'a,b'}",
        "{seed:'${nowhere}'}",
        "{lr:1e39}",
    ),
    *(
        "{seed:'range(3'}",
        "{'':'1,2'}",
        "{5:'1,2'}",
        "{seed:'???'}",
        "{cell:'glob(z*)'}",
        "{lr:'interval(0,1)'}",
    ),
)
"""Values of `hydra.sweeper.params`."""
CYCLES = (
    *({"lr": "${lr}"}, {"lr": "${clip}", "clip": "${lr}"}, {"cell": "${cell}"}, {"lr": "${nowhere}"}),
    *(
        {"lr": "${oc.env:NOPE}"},
        {"lr": "${foo:1}"},
        {"lr": "${hydra:job.num}"},
        {"lr": "${"},
        {"lr": "a${lr}b"},
    ),
    *({"lr": "${clip}", "clip": "${seed}", "seed": "${lr}"}, {"task": {"length_range": [1, "${nowhere}"]}}),
    *(
        {"cell": {"bias": "${cell.bias}"}},
        {"hydra": {"run": {"dir": "${nowhere}"}}},
        {"pair": ["${lr}", "lr"]},
    ),
    *({"hydra": {"sweep": {"dir": "${nowhere}", "subdir": "${hydra.sweep.subdir}"}}}, {"lr": "${seq_len}"}),
    *(
        {"tracking": {"experiment": "${tracking.experiment}"}},
        {"lr": "${${clip}}"},
        {"defaults": ["${nowhere}"]},
    ),
)
"""Experiments with missing or circular interpolations."""
REFERENCES = (
    *(
        "${lr}",
        "${cell}",
        "${nowhere}",
        "${seq_len}",
        "${steps}",
        "${oc.env:HOME}",
        "${oc.env:NO_SUCH_VARIABLE}",
    ),
    *(
        "${oc.env:NO_SUCH_VARIABLE,5}",
        "${oc.create:{a:1}}",
        "${now:%Y}",
        "${hydra:job.name}",
        "${rnnlab_suffix:}",
    ),
    *(
        "${",
        "${}",
        "${:}",
        "${.lr}",
        "${..lr}",
        "${oc.decode:'[1'}",
        "${nosuch:1}",
        "${oc.select:x}",
        "${task}",
    ),
    *("${hydra:runtime.cwd}", "${hydra.run.dir}", "a${lr}b", "${${lr}}", "${oc.dict.keys:cell}", "$", "${lr"),
)
TARGETS = (
    *(
        "os.system",
        "rnnlab.cells.LSTM",
        "rnnlab.cells.Cell",
        "rnnlab.cells",
        "rnnlab",
        "rnnlab.",
        ".",
        "",
        "null",
    ),
    *(
        "rnnlab..cells",
        "rnnlab.__main__.main",
        "rnnlab.app.launchers.pool.LocalPool",
        "rnnlab.tasks.CharLM",
        "rnnlab.nowhere",
    ),
    *(
        "rnnlab.cells.LSTM.forward",
        "rnnlab.model.Model",
        "rnnlab.diagnostics.measure_gates",
        "rnnlab.a b",
        "5",
    ),
    *(
        "rnnlab.app.jobs.run_job.os.system",
        "rnnlab.app.launchers.slurm.Slurm",
        "builtins.eval",
        "rnnlab.é",
        "rnnlab.\x00",
    ),
)
FLAGS = (
    ["--cfg", "job"],
    ["--cfg=all", "--resolve"],
    ["--help"],
    ["--hydra-help"],
    ["--info"],
    ["--cfg=hydra"],
)
OTHER_FLAGS = (
    *(
        ["--config-name", "x"],
        ["--config-dir", "nowhere"],
        ["--config-dir", "."],
        ["--experimental-rerun", "x"],
    ),
    *(
        ["-p", "cell"],
        ["--no-such"],
        ["--package"],
        ["-sc", "nonsense"],
        ["--version"],
        ["--run"],
        ["-c"],
        ["--"],
    ),
)


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of the configuration, with its type and the options that it needs."""

    name: str
    hint: Any
    needs: tuple[tuple[str, str], ...] = ()


@cache
def keys() -> list[Key]:
    """Return all keys of every option."""
    found = [key for name, hint in fields(Settings).items() for key in _of(name, hint)]
    for group, supplied in SUPPLIED.items():
        for option in OPTIONS[group]:
            file = conf_dir() / group / f"{option}.yaml"
            named = yaml.safe_load(file.read_text(encoding="utf-8"))
            if "_target_" in named:
                hints = fields(_found(named["_target_"]), supplied)
                found += [Key(f"{group}.{name}", hint, ((group, option),)) for name, hint in hints.items()]
    found += [
        key for name, hint in fields(Probe, ("measurements",)).items() for key in _of(f"probe.{name}", hint)
    ]
    for option in OPTIONS["measurement"]:
        named = yaml.safe_load((conf_dir() / "measurement" / f"{option}.yaml").read_text(encoding="utf-8"))
        hints = typing.get_type_hints(_found(named["_target_"]), include_extras=True)
        options = {name: hint for name, hint in hints.items() if name not in ("snapshot", "return")}
        needs = (("+measurement", option), ("probe", "none"))
        for name, hint in (options | {"when": Schedule}).items():
            found += [
                dataclasses.replace(key, needs=needs)
                for key in _of(f"probe.measurements.{option}.{name}", hint)
            ]
    return found


def _found(named: str) -> Any:
    module, _, name = named.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _of(name: str, hint: Any) -> Iterator[Key]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        for inner, its in fields(hint).items():
            yield from _of(f"{name}.{inner}", its)
    else:
        yield Key(name, hint)


def written(value: Any) -> str:
    """Return a value in Hydra's grammar."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{','.join(map(written, value))}]"
        case dict():
            return "{" + ",".join(f"{k}:{written(v)}" for k, v in value.items()) + "}"
    text = str(value)
    return text if text.isalnum() and text.isascii() else quoted(text)


def quoted(text: str) -> str:
    """Return a quoted string in Hydra's grammar, for any content."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _small(value: Any) -> bool:
    return not isinstance(value, int | float) or abs(value) <= 20


def values(hint: Any) -> st.SearchStrategy[str]:
    """Return values for a key: mostly small values of its type, and values of other types."""
    allowed = st.from_type(hint)
    return st.one_of(allowed.filter(_small).map(written), allowed.filter(_small).map(written), wild())


def allowed_values(hint: Any) -> st.SearchStrategy[str]:
    """Return small values of a key's type."""
    return st.from_type(hint).filter(_small).map(written)


@cache
def wild() -> st.SearchStrategy[str]:
    """Return values of any kind."""
    tokens = st.sampled_from([*NUMBERS, *EXTREMES, *WORDS, *TREES, *FUNCTIONS, *REFERENCES, *TARGETS])
    trees = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
    )
    return st.one_of(tokens, tokens, st.text(max_size=8).map(quoted), trees.map(written), st.text(max_size=8))


@cache
def _names() -> list[str]:
    """Return the keys of the composed configuration, including groups, `_target_` and Hydra's keys."""
    from hydra.types import RunMode

    from rnnlab.app.config.loading import loader_of

    config = loader_of(conf_dir(), None).load_configuration(CONFIG_NAME, [], RunMode.RUN)
    assert isinstance(config, DictConfig)
    tree = OmegaConf.to_container(config, resolve=False)
    assert isinstance(tree, dict)
    inner = [name for key, value in tree.items() if key != "hydra" for name in _paths(str(key), value)]
    return [*inner, *KEYS_OF_HYDRA]


def _paths(name: str, value: Any) -> Iterator[str]:
    yield name
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(f"{name}.{key}", inner)


@cache
def wrong_names() -> st.SearchStrategy[str]:
    """Return keys, existing and misspelt."""
    misspelt = st.sampled_from(_names()).flatmap(
        lambda name: st.integers(0, max(len(name) - 1, 0)).map(lambda at: name[:at] + name[at + 1 :])
    )
    return st.one_of(st.sampled_from(_names()), misspelt, st.text(max_size=6), st.sampled_from(WORDS))


@st.composite
def valid(draw: st.DrawFn) -> list[str]:
    """Return overrides with values of the right types, in possibly invalid combinations."""
    return _line(_chosen(draw))


def _chosen(draw: st.DrawFn) -> dict[str, str]:
    chosen = dict(SMALL)
    groups = [group for group in OPTIONS if group not in ("experiment", "measurement", "hydra")]
    for group in draw(st.lists(st.sampled_from(groups), max_size=3, unique=True)):
        chosen[group] = draw(st.sampled_from(OPTIONS[group]))
    for key in draw(st.lists(st.sampled_from(keys()), max_size=4)):
        chosen |= dict(key.needs)
        chosen[key.name] = draw(allowed_values(key.hint))
    return chosen


def _line(chosen: dict[str, str]) -> list[str]:
    if chosen.get("task", "char_lm") != "char_lm":
        chosen.pop("task.sample_length", None)
    return [f"{key}={value}" for key, value in chosen.items()]


@st.composite
def any_line(draw: st.DrawFn) -> list[str]:
    """Return overrides, one or two of them arbitrary, with prefixes, sweeps and flags."""
    chosen = _chosen(draw)
    added = [draw(_anything(chosen)) for _ in range(draw(st.sampled_from((1, 1, 1, 2))))]
    line = [*_line(chosen), *added]
    match draw(st.sampled_from(range(20))):
        case 19:
            line += draw(st.sampled_from((*FLAGS, *OTHER_FLAGS)))
        case 15 | 16 | 17 | 18:
            key = draw(st.sampled_from(keys()))
            several = draw(st.lists(values(key.hint), min_size=1, max_size=3))
            line += ["-m", f"{key.name}={','.join(several)}"]
    return line


@st.composite
def extreme(draw: st.DrawFn) -> list[str]:
    """Return overrides with real numbers at the limits of float32."""
    chosen = _chosen(draw)
    for key in draw(st.lists(st.sampled_from(real_keys()), min_size=1, max_size=2)):
        chosen |= dict(key.needs)
        number = draw(st.sampled_from(EXTREMES))
        chosen[key.name] = (
            f"[{number},{number}]" if "list" in str(key.hint) or "tuple" in str(key.hint) else number
        )
    return _line(chosen)


@cache
def real_keys() -> list[Key]:
    """Return the keys with real numbers as values."""
    return [key for key in keys() if float in types_in(key.hint)]


def types_in(hint: Any) -> list[Any]:
    """Return a type with its component types and bounds."""
    inner = [part for argument in typing.get_args(hint) for part in types_in(argument)]
    return [hint, *inner, *getattr(hint, "__metadata__", ())]


@st.composite
def odd_sweep(draw: st.DrawFn) -> list[str]:
    """Return a sweep with odd axes: without values, with too many values, or with invalid values."""
    line = _line(dict(SMALL))
    for key in draw(
        st.lists(st.sampled_from(("seed", "lr", "cell", "jobs", "clip")), max_size=2, unique=True)
    ):
        line.append(f"{key}={draw(st.sampled_from(AXES) | st.sampled_from(('1', '1,2', 'range(1,3)')))}")
    if draw(st.booleans()):
        line.append(
            f"{draw(st.sampled_from(('', '+', '++')))}hydra.sweeper.params={draw(st.sampled_from(PARAMS))}"
        )
    if draw(st.booleans()):
        line.append(f"pair=[{draw(st.sampled_from(('seed,lr', 'lr,clip', 'seed', 'cell,seed')))}]")
    return ["-m", *line]


def experiments() -> st.SearchStrategy[str]:
    """Return files for `--config-dir`, possibly with circular references."""
    params = st.sampled_from(PARAMS).map(
        lambda text: {"hydra": {"sweeper": {"params": yaml.safe_load(text.replace(":", ": ", 1))}}}
    )
    trees = st.lists(st.sampled_from(CYCLES) | params, min_size=1, max_size=2)
    return trees.map(
        lambda drawn: (
            "# @package _global_\n" + yaml.safe_dump({k: v for one in drawn for k, v in one.items()})
        )
    )


@st.composite
def _anything(draw: st.DrawFn, chosen: dict[str, str]) -> str:
    """Return one override, and add the options that its key needs."""
    prefix = draw(st.sampled_from(("", "", "", "", "+", "++", "~")))
    match draw(st.sampled_from(("key", "key", "key", "group", "name", "target", "target", "text"))):
        case "key":
            key = draw(st.sampled_from(keys()))
            chosen |= dict(key.needs)
            chosen.pop(key.name, None)
            return f"{prefix}{key.name}={draw(wild())}"
        case "group":
            group = draw(st.sampled_from([group for group in OPTIONS if OPTIONS[group]]))
            chosen.pop(group, None)
            return f"{prefix}{group}={draw(st.sampled_from(OPTIONS[group]) | wild())}"
        case "name":
            equals = draw(st.sampled_from(("=", "=", "=", "", "@", "==")))
            return f"{prefix}{draw(wrong_names())}{equals}{draw(wild())}"
        case "target":
            group = draw(st.sampled_from([*SUPPLIED, "probe.measurements.norms", "hydra.launcher"]))
            return f"{prefix}{group}._target_={draw(st.sampled_from([*TARGETS, *_classes()]))}"
    return draw(st.text(max_size=12))


@cache
def _classes() -> list[str]:
    """Return all possible values of `_target_`: all classes and functions in the modules of rnnlab."""
    modules = [name for name in sorted(sys.modules) if name.startswith("rnnlab.")]
    return [
        f"{module}.{name}" for module in modules for name in vars(sys.modules[module]) if name.isidentifier()
    ]
