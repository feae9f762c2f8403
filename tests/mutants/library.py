"""Mutants of the Python face: networks, runs and sweeps as objects."""

from tests.mutants.mutant import Mutant

NETWORKS = ("library/test_networks.py",)
RUNS = ("library/test_runs.py",)
SWEEPS = ("library/test_sweeps.py",)

LIBRARY = [
    Mutant("library/inputs.py", "given.index(axis) for axis in AXES if axis in given", "*range(a.ndim)", NETWORKS),
    Mutant("library/inputs.py", 'a.dtype.kind == "f" and not np.isfinite(a).all()', "False", NETWORKS),
    Mutant("library/curves.py", "== 1, -np.inf, values)", "== 2, -np.inf, values)", NETWORKS),
    Mutant("diagnostics/lag_curves.py", "values[::-1] for name", "values for name", NETWORKS),
    Mutant("library/network_base.py", "inputs = inputs[:until]", "pass", NETWORKS),
    Mutant("library/network_measurements.py", "tape.example(b), excluded", "tape.example(0), excluded", NETWORKS),
    Mutant("library/network_measurements.py", "(logs.ravel() / np.log(10) for logs in pair)", "(logs.ravel() for logs in pair)", NETWORKS),
    Mutant("library/network_base.py", "replace(self.model, loss=loss)", "self.model", NETWORKS),
    Mutant("library/composing.py", '"seed": seed}', '"seed": None}', NETWORKS),
    Mutant("library/runs.py", "            run.read_all()", "            pass", RUNS),
    Mutant("library/runs.py", "            raise RuntimeError(", "            print(", RUNS),
    Mutant("library/runs.py", 'steps[position]', 'steps[0]', RUNS),
    Mutant("library/sweeps.py", "self._collection.select([number % len(self)])", "self._collection.select([0])", SWEEPS),
    Mutant("diagnostics/lag_curves.py", "logs / draws for name, logs", "logs for name, logs", NETWORKS),
    Mutant("diagnostics/lag_curves.py", "w / norm(w, axis=0)", "w", NETWORKS),
    Mutant("app/config/override_text.py", "2 * found[1]", "found[1]", ("library/test_overrides.py",)),
    Mutant("app/launchers/this_process.py", "stopped = not self._proceed()", "pass", RUNS),
    Mutant("app/launchers/pool.py", 'sys.modules["__main__"] = ModuleType("__main__")', "pass", SWEEPS),
    Mutant("analysis/frames/runs_frame.py", "inf if value is None and axis in UNLIMITED else value", "value", ("analysis/test_frames.py",)),
    Mutant("analysis/frames/run_collection.py", 'axes = ["sweep", *axes]', "pass", ("analysis/test_frames.py",)),
    Mutant("library/measuring.py", "ProbeInputs(batch, lambda length", "ProbeInputs(_one_sequence(batch, batch.time), lambda length", ("library/test_measuring.py",)),
    Mutant("library/measuring.py", "*norms_by_timestep_of(logs)", "", ("library/test_measuring.py",)),
    Mutant("library/verdicts.py", 'reach.word != "vanishes", reach.horizon', 'reach.word != "vanishes", -reach.horizon', ("library/test_measuring.py",)),
    Mutant("commands/measure.py", "int(found[-1]) if found else -1", "int(found[0]) if found else -1", ("commands/test_measure.py",)),
]  # fmt: skip
