"""Calls that the source code must not contain; every promise has a test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.promises import PROMISES, keeps, kept
from tests.surroundings import ROOT

UNPICKLING = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNPICKLING_CALLS = {
    "read_pickle",
    "load_model",
    "unsafe_load",
    "full_load",
    "unsafe_load_all",
    "full_load_all",
}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "getoutput",
    "getstatusoutput",
    "instantiate",
    "import_module",
}
CALLS |= {
    f"{how}{what}" for how in ("exec", "spawn") for what in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")
}
ALLOWED = {
    "rnnlab/app/config/validation.py": ["importlib.import_module"],  # resolves the name of a class of rnnlab
    "rnnlab/commands/__init__.py": ["import_module"] * 2,  # imports the commands, by names in that file
    "rnnlab/library/frameworks.py": ["import_module"] * 2,  # imports torch or JAX, by names in the package
    "rnnlab/app/config/suggestions.py": ["yaml.load"],  # the options of rnnlab, with the safe loader in C
    "rnnlab/runs/run_json.py": ["yaml.load"],  # with the safe loader in C
    "rnnlab/analysis/frames/run_collection.py": [
        "frame.eval"
    ],  # evaluates a condition from the user's own Python code
}
WRITERS = "rnnlab/runs/files.py"
"""The only module that creates files; it does not follow symbolic links."""
WRITING_CALLS = {
    *("write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "link_to", "fdopen", "mkfifo"),
    *("savefig", "imsave", "to_csv", "to_parquet", "to_json", "to_pickle", "to_excel", "to_feather"),
    *("save_file", "serialize_file", "savez", "savez_compressed", "savetxt", "tofile", "memmap"),
    *("OSFile", "memory_map", "FileHandler", "NamedTemporaryFile", "mkstemp", "mktemp", "truncate"),
    *("copy2", "copyfile", "copytree", "copymode", "copystat", "move", "extractall", "urlretrieve"),
    *("makedirs", "chmod", "utime"),
}
WRITES_ALLOWED = {
    "rnnlab/engine/compiled/store.py": ["path.write_text"],  # in the user's cache, mode 0700
    "rnnlab/terminal/streams.py": ["os.open"] * 2,  # /dev/null
    "rnnlab/app/launchers/forking.py": ["os.open"],  # /dev/null
    "rnnlab/app/launchers/ray_cluster.py": ["touch"],  # `touch` from tracking/files.py, as in the next entry
    "rnnlab/app/launchers/slurm.py": ["touch"],
    "rnnlab/app/jobs/run_job.py": ["folder.write_text"] * 2,  # method of RunFolder
    "rnnlab/analysis/figures/picture_files.py": ["figure.savefig", "imsave"],  # write to memory
    "rnnlab/torch/stored.py": ["plain.to_parquet"],  # writes to memory
}
TRUE = ("shell", "allow_pickle")
LOADERS = {"yaml.load", "yaml.load_all", "torch.load"}
OBJECTS = {"np.load", "numpy.load"}


def _faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in UNPICKLING)
            case ast.ImportFrom(module=str(module), names=names):
                yield from [module] if module.split(".")[0] in UNPICKLING else []
                yield from (alias.name for alias in names if alias.name in CALLS | UNPICKLING_CALLS)
            case ast.Call(func=func, keywords=keywords):
                called = ast.unparse(func)
                name = called.rpartition(".")[2]
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
                if name in CALLS | UNPICKLING_CALLS and called != "re.compile":
                    yield called
                if called in LOADERS or (called in OBJECTS and given.get("allow_pickle") != "False"):
                    yield called
                yield from (f"{key}={given[key]}" for key in TRUE if given.get(key, "False") != "False")


def faults(source: str) -> list[str]:
    return list(_faults(ast.parse(source)))


def writes(source: str) -> list[str]:
    """Return the calls that create or change a file, or might do so."""
    return [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and _may_write(node)
    ]


def _may_write(call: ast.Call) -> bool:
    called = ast.unparse(call.func)
    name = called.rpartition(".")[2]
    if name in WRITING_CALLS or called == "os.open":
        return True
    if name != "open":
        return False
    of_path = isinstance(call.func, ast.Attribute) and called not in ("io.open", "gzip.open", "codecs.open")
    modes = [*call.args[0 if of_path else 1 :][:1], *(k.value for k in call.keywords if k.arg == "mode")]
    if not modes:
        return False  # opened for reading
    (mode, *_) = modes
    if not (isinstance(mode, ast.Constant) and isinstance(mode.value, str)):
        return of_path is False  # `log.open(path)` is not an open of a file by itself
    return bool(set("wax+") & set(mode.value))


@keeps("inside-the-folder")
def test_files_are_created_in_one_module() -> None:
    files = [file for file in sorted((ROOT / "rnnlab").rglob("*.py")) if file != ROOT / WRITERS]
    found = {str(file.relative_to(ROOT)): writes(file.read_text(encoding="utf-8")) for file in files}
    assert {file: calls for file, calls in found.items() if calls} == WRITES_ALLOWED
    assert len(writes((ROOT / WRITERS).read_text(encoding="utf-8"))) > 3


@pytest.mark.parametrize(
    "source",
    [
        "open(path, 'w')",
        "open(path, mode='xb')",
        "open(path, how)",
        "path.open('a')",
        "path.open(mode='r+b')",
        "path.write_text('')",
        "path.write_bytes(b'')",
        "path.touch()",
        "os.open(path, os.O_CREAT)",
        "figure.savefig(path)",
        "table.to_parquet(path)",
        "save_file(arrays, path)",
        "np.savez(path, x)",
        "pa.OSFile(path, 'wb')",
        "logging.FileHandler(path)",
        "shutil.copyfile(a, b)",
        "gzip.open(path, 'wt')",
    ],
)
def test_a_file_created_elsewhere_is_detected(source: str) -> None:
    assert writes(source)


def test_reading_does_not_count_as_writing() -> None:
    assert writes("open(p); open(p, 'rb'); p.open(); p.open('rb'); Image.open(p); log.open(p / 'x')") == []


@keeps("nothing-unpickled")
@keeps("no-shell-no-eval")
def test_the_source_contains_no_violation() -> None:
    files = [*sorted((ROOT / "rnnlab").rglob("*.py")), ROOT / "hatch_build.py"]
    assert len(files) > 100
    found = {str(file.relative_to(ROOT)): faults(file.read_text(encoding="utf-8")) for file in files}
    assert {file: problems for file, problems in found.items() if problems} == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import marshal as m",
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "from os import system",
        "os.execvp('ls', [])",
        "subprocess.run('ls', shell=True)",
        "subprocess.getoutput('ls')",
        "yaml.load(text, yaml.Loader)",
        "yaml.unsafe_load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "torch.load(path)",
        "mlflow.pyfunc.load_model(uri)",
        "hydra.utils.instantiate(config)",
        "importlib.import_module(name)",
        "__import__(name)",
        "compile(source, '', 'exec')",
    ],
)
def test_a_violation_is_found(source: str) -> None:
    assert faults(source)


def test_allowed_code_is_not_reported() -> None:
    assert (
        faults("np.load(p, allow_pickle=False); yaml.safe_load(t); re.compile('a'); subprocess.run(['ls'])")
        == []
    )


def test_every_promise_has_a_test() -> None:
    assert sorted(set(kept())) == sorted(PROMISES) and len(PROMISES) == 9


def test_templates_escape_inserted_values() -> None:
    """Templates do not switch off Jinja's autoescaping."""
    for file in (ROOT / "rnnlab").rglob("templates/*"):
        text = file.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "") and "autoescape" not in text
    assert [
        file for file in Path(ROOT / "rnnlab").rglob("*.py") if "autoescape=False" in file.read_text()
    ] == []
