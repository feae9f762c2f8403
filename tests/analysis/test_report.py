"""The content of a sweep's report, for any possible sweep."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from rnnlab.analysis.frames.sources import MLflowRuns
from rnnlab.analysis.report.conditions import choose_metric
from rnnlab.analysis.report.page import report_html, write_report
from rnnlab.runs.folder import RunFolder
from tests.processes import TINY, Done, run, run_info
from tests.runs.small_runs import config_of, info_of, record, whole_run


class Page(HTMLParser):
    """The tables of a page by section, each a list of rows, the names of its figures, and the remaining text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.pictures: list[str] = []
        self.text = ""
        self._section = ""
        self._cell = self._skipped = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._section = dict(attrs).get("id") or ""
        elif tag == "tr":
            self.tables.setdefault(self._section, []).append([])
        elif tag in ("td", "th"):
            self._cell = True
            self.tables[self._section][-1].append("")
        elif tag == "svg":
            self.pictures.append(dict(attrs)["aria-label"] or "")
        self._skipped = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[self._section][-1][-1] += data
        self.text += "" if self._skipped else data


@pytest.fixture(scope="module")
def sweep_result(tmp_path_factory: pytest.TempPathFactory, tables: Path) -> Done:
    """A sweep over cells, thresholds and seeds with one unstable run."""
    folder = tmp_path_factory.mktemp("sweep_result")
    shutil.copy(tables, folder / "mlflow.db")
    axes = ("cell=rnn,lstm", "clip=null,0.1", "seed=0,1")
    done = run(folder, "-m", *axes, *TINY, "val_every=6", "figures=false", "optimizer=sgd")
    assert done.code == 0, done.err
    return done


@pytest.fixture(scope="module")
def text(sweep_result: Done) -> str:
    """Return the report of `sweep_result`, drawn once."""
    return report_html(sweep_result.folder)


def test_all_runs_with_their_numbers(sweep_result: Done, text: str) -> None:
    page = Page(text)
    head, *rows = page.tables["runs"]
    assert head == [
        *("run", "cell", "clip", "seed", "metric", "value", "baseline"),
        *("gain", "horizon", "regime", "clip rate", "outcome", "seconds"),
    ]
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert by_name.keys() == sweep_result.runs.keys()
    for name, folder in sweep_result.runs.items():
        info, row = run_info(folder), by_name[name]
        assert row["value"] == f"{info['summary']['val/bpc']:.3f}"
        assert row["gain"] == f"{10 ** info['summary']['grad/log10_gain']:.3f}"
        assert row["clip"] == {"null": "off", "0.1": "0.1"}[info["params"]["clip"]]
        assert row["clip rate"] == f"{info['summary']['grad/clip_rate']:.1%}"
        assert row["outcome"] == info["outcome"]


def test_averages_are_over_seeds(sweep_result: Done, text: str) -> None:
    page = Page(text)
    head, *rows = page.tables["results"]
    decays = ["untrained decay", "trained decay"]
    assert head == ["cell", "clip", "runs", *decays, "horizon", "gain", "val/bpc", "clip rate"]
    assert len(rows) == 4
    for row in rows:
        of_group = [
            run_info(folder)["summary"]["val/bpc"]
            for folder in sweep_result.runs.values()
            if run_info(folder)["params"]["cell"] == row[0]
            and run_info(folder)["params"]["clip"].replace("null", "off") == row[1]
        ]
        cells = dict(zip(head, row, strict=True))
        assert cells["runs"] == "2" and len(of_group) == 2, "two runs have no interval and are not averaged"
        assert (cells["clip rate"] == "–") == (row[1] == "off"), "without a threshold, there is no rate"
        assert cells["val/bpc"] in (" and ".join(f"{value:.3f}" for value in of_group), f"{of_group[0]:.3f}")


def test_the_first_screen_has_the_question_the_answer_and_one_figure(text: str) -> None:
    page = Page(text)
    assert "<h1>How far back in time do gradients reach in rnn and lstm, by clip threshold?</h1>" in text
    setting = "Task char_lm; 9 time steps; 8 hidden units; clip 0.1, off; 2 seeds; 8 runs in total."
    assert setting in page.text
    first = re.search(r'<ul class="answer"><li>(.*?)</li>', text)
    assert first is not None
    assert re.sub("<.*?>", "", first[1]) == page.pictures[0], (
        "the text that replaces the figure is the answer"
    )
    order = [text.index(part) for part in ("<h1>", 'class="answer"', "<svg", 'id="results"', 'id="figures"')]
    assert order == sorted(order)


def test_the_note_on_the_results_explains_the_columns_that_exist(text: str) -> None:
    note = text[text.index('id="results"') : text.index('id="figures"')]
    assert "Clip rate: fraction of training steps with a clipped gradient." in note
    assert "val/bpc: validation loss in bits per character." in note
    assert "Solved:" not in note


def test_figures_are_those_that_the_axes_call_for(text: str) -> None:
    titles = [alt.partition(". ")[0] for alt in Page(text).pictures]
    assert titles[0] == titles[1], "the first figure, for wide and for narrow screens"
    assert titles[2:] == [
        *("Tail gain by clip", "Horizon by clip", "Regimes by clip and cell", "Clipping"),
        *("val/bpc during training", "Gradient by time step"),  # char_lm has no criterion
    ]
    headings = re.findall("<h3>(.*?)</h3><figcaption>", text)
    assert headings == titles[2:]


def test_it_gives_the_command_that_repeats_the_sweep(sweep_result: Done, text: str) -> None:
    page = Page(text)
    given = "python -m rnnlab -m cell=rnn,lstm clip=null,0.1 seed=0,1 steps=12"
    assert given in page.text
    (folder, *_) = sweep_result.runs.values()
    assert f"python -m rnnlab.repeat {folder}" in page.text
    assert f"load_gradients('{sweep_result.folder}')" in page.text
    commit = run_info(folder)["tags"].get("git_commit", "")
    assert f"git checkout {commit.removesuffix('-dirty')}" in page.text


def test_differences_in_the_configuration_and_what_is_common(text: str) -> None:
    page = Page(text)
    differences = dict(page.tables["configuration"][1:])
    assert differences["clip"] == "None (4), 0.1 (4)" and differences["seed"] == "0 (4), 1 (4)"
    assert "hidden_size" not in differences and "hidden_size8" in page.text.replace("\n", "")


@pytest.mark.filterwarnings("ignore:The ``noload``")
def test_the_same_page_from_mlflow(sweep_result: Done, text: str) -> None:
    sweep = run_info(next(iter(sweep_result.runs.values())))["tags"]["sweep"]
    there = report_html(MLflowRuns(sweep=sweep, uri=sweep_result.uri))
    given = repr(str(sweep_result.folder)).replace("'", "&#39;")
    tracked = f"rl.MLflowRuns('rnnlab', '{sweep}', '{sweep_result.uri}')".replace("'", "&#39;")
    here = text.replace(given, tracked)
    assert here == there


def test_failures_are_named_with_their_reasons(tmp_path: Path) -> None:
    whole_run(tmp_path / "0", "fine")
    whole_run(tmp_path / "1", "ended early", outcome="killed")
    with RunFolder(tmp_path / "2", info_of("blown up"), config_of()) as folder:
        folder.write(record(0))
        folder.close()
        at = {"step": 3, "timestep": 2, "quantity": "h", "before": []}
        folder.finish("diverged", {"diverged_at": at})
    with RunFolder(tmp_path / "3", info_of("broken"), config_of()) as folder:
        folder.close()
        folder.finish("failed", {"error": "ValueError: <b>no</b>"})
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "run.json").write_text("{")
    text = report_html(tmp_path)
    problems = {row[0]: row[1] for row in Page(text).tables["failures"][1:]}
    assert problems.pop("4").startswith("damaged: run.json: ")
    assert problems == {
        "ended early": "killed",
        "blown up": "diverged at step 3, time step 2: h",
        "broken": "failed: ValueError: <b>no</b>",
    }
    assert "<b>no</b>" not in text and text.count(">1 killed<") == 1


def test_a_sweep_of_one_run_without_any_probe(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "seed=3", "probe=none", *TINY, "figures=false", "tracking=none")
    assert done.code == 0, done.err
    page = Page(report_html(tmp_path))
    assert len(page.tables["runs"]) == 2
    head, row = page.tables["results"]
    assert dict(zip(head, row, strict=True)).items() >= {"runs": "1", "horizon": "–", "gain": "–"}.items()
    assert "decay" not in " ".join(head), "no lag curve was recorded"
    assert [alt.partition(". ")[0] for alt in page.pictures] == ["val/bpc during training"]


@pytest.mark.usefixtures("database")
def test_it_is_made_at_the_end_of_a_sweep_and_put_into_mlflow(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    asked = [word for word in TINY if word != "report=false"]
    done = run(tmp_path, "-m", "cell=rnn,gru", *asked, "figures=false")
    assert (done.code, done.err) == (0, "")
    (page,) = tmp_path.glob("multirun/*/*/report.html")
    assert f"Report: {page.relative_to(tmp_path)}" in done.out.splitlines()
    client = MlflowClient(done.uri)
    runs = client.search_runs(["1"])
    summary = next(run for run in runs if "rnnlab.summary_of" in run.data.tags)
    (sweep,) = {run.data.tags["sweep"] for run in runs}
    assert len(runs) == 3 and summary.data.tags["rnnlab.summary_of"] == sweep
    assert summary.info.status == "FINISHED"
    kept = Path(client.download_artifacts(summary.info.run_id, "report.html"))
    assert kept.read_text() == page.read_text()
    page.unlink()
    again = run(tmp_path, sweep, "--out", "mine.html", module="rnnlab.report")
    assert (again.code, again.out, again.err) == (0, "Report: mine.html\n", "")
    assert len(client.search_runs(["1"])) == 3
    held = [file.path for file in client.list_artifacts(summary.info.run_id)]
    assert held == ["report.html"]  # the newest version, regardless of its file name


def test_a_failed_report_is_reported_in_one_line(tmp_path: Path) -> None:
    asked = [word for word in TINY if word != "report=false"]
    broken = tmp_path / "broken"
    shutil.copytree(Path(__file__).parents[2] / "rnnlab", broken / "rnnlab")
    shutil.copytree(Path(__file__).parents[2] / "conf", broken / "conf")
    (broken / "rnnlab" / "analysis" / "report" / "templates" / "report.html").write_text("{{ nothing }}")
    done = run(tmp_path, "-m", "cell=rnn", *asked, "figures=false", "tracking=none", PYTHONPATH=str(broken))
    assert (done.code, done.err) == (0, "")
    assert (
        "The report could not be written or sent ('nothing' is undefined); to retry, run: python -m rnnlab.report multirun/"
        in done.out
    )


def test_the_command_reports_unsupported_requests(
    sweep_result: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rnnlab.commands.report import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for given, message in (
        (["gone"], r"gone: not a folder, and sqlite:////.*mlflow.db: not found"),
        (["."], r"\.: no runs found"),
        (
            [str(sweep_result.folder), "--out", "no/such/folder.html"],
            "no/such/folder.html: cannot be written",
        ),
    ):
        assert main(given) == 2
        out, err = capsys.readouterr()
        assert out == "" and re.match(f"rnnlab.report: {message}", err) and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert main([str(sweep_result.folder), "--out", "page.html", "--uri", "http://127.0.0.1:9"]) == 1
    assert (
        "rnnlab.report: MLflow at http://127.0.0.1:9 did not accept the report (" in capsys.readouterr().err
    )
    assert (tmp_path / "page.html").is_file()


def test_the_page_is_reproducible_and_written_atomically(
    sweep_result: Done, text: str, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("an earlier page")
    write_report(sweep_result.folder, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == text and len(list(tmp_path.iterdir())) == 1


def test_earlier_values_of_a_diverged_run_are_excluded_from_averages(tmp_path: Path) -> None:
    for seed, outcome, value in ((0, "finished", 2.0), (1, "unstable", 4.0), (2, "diverged", 99.0)):
        info = info_of(f"seed={seed}") | {"goal": {"metric": "val/loss", "baseline": 1.0, "criterion": None}}
        info |= {"number": seed, "params": {"cell": "rnn", "seed": str(seed)}}
        with RunFolder(tmp_path / str(seed), info, config_of()) as folder:
            folder.close()
            at = {"step": 3, "timestep": 2, "quantity": "h", "before": []}
            more = {"diverged": {"diverged_at": at}, "unstable": {"unstable_since": 1}}.get(outcome, {})
            folder.finish(outcome, {"val/loss": value, **more})  # type: ignore[arg-type]
    shutil.copytree(tmp_path / "0", tmp_path / "other")
    info = run_info(tmp_path / "other") | {"id": "other", "params": {"cell": "gru", "seed": "0"}}
    (tmp_path / "other" / "run.json").write_text(json.dumps(info))
    page = Page(report_html(tmp_path))
    head, *rows = page.tables["results"]
    (cells,) = (found for row in rows if (found := dict(zip(head, row, strict=True)))["cell"] == "rnn")
    assert cells["runs"] == "3, 1 unstable, 1 diverged" and cells["val/loss"] == "2.000 and 4.000"
    assert "1 of 4 runs diverged at training step 3 (cell rnn); first non-finite value: h." in page.text
    assert "1 of 4 runs became unstable (cell rnn)." in page.text
    assert "Unstable: the smoothed training loss exceeded twice the chance level." in page.text
    assert "Lowest val/loss: 2.000 with cell=gru; baseline 1.000." in page.text


def test_two_sweeps_with_different_axes_make_one_page(tmp_path: Path) -> None:
    for number, params in enumerate(
        [{"cell": "rnn", "cell.nonlinearity": "tanh"}, {"cell": "rnn", "cell.nonlinearity": "relu"}]
        + [{"cell": "lstm", "cell.forget_bias": bias} for bias in ("0", "1")]
    ):
        info = info_of(str(number)) | {"number": number, "params": params}
        with RunFolder(tmp_path / str(number), info, config_of()) as folder:
            folder.close()
            folder.finish("finished", {})
    head, *rows = Page(report_html(tmp_path)).tables["runs"]
    assert head[1:4] == ["cell", "cell.nonlinearity", "cell.forget_bias"]
    assert [row[1:4] for row in rows] == [
        *(["rnn", "tanh", "–"], ["rnn", "relu", "–"]),
        *(["lstm", "–", "0"], ["lstm", "–", "1"]),
    ]


def test_seeds_alone_are_averaged_and_a_damaged_table_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "seed=range(3)", *TINY, "figures=false", "tracking=none")
    assert done.code == 0, done.err
    (first, *_) = done.runs.values()
    (first / "gradients.parquet").write_bytes(b"PAR1")
    page = Page(report_html(tmp_path))
    assert page.tables["results"][1][0] == "3"
    assert "3 seeds; 3 runs in total" in page.text
    (_, row) = page.tables["failures"]
    assert row[0] == "seed=0" and row[1].startswith("finished; damaged: gradients.parquet: ")


def test_damaged_runs_alone_give_a_page(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "run.json").write_text("{")
    text = report_html(tmp_path)
    assert "1 damaged" in text and "<h1>How far back in time do gradients reach?</h1>" in text


def test_damaged_runs_are_excluded_from_the_answer(sweep_result: Done, tmp_path: Path) -> None:
    shutil.copytree(sweep_result.folder, tmp_path, dirs_exist_ok=True)
    folders = [path.parent for path in tmp_path.rglob("run.json")]
    clipped = [path for path in folders if run_info(path)["params"]["clip"] == "null"]
    for path in clipped:
        (path / "run.json").write_text("{")
    page = Page(report_html(tmp_path))
    assert "4 damaged" in page.text and "2 seeds; 4 runs in total." in page.text
    assert "in rnn and lstm?" in page.text and "clip off" not in page.text
    assert [row[0] for row in page.tables["results"][1:]] == ["rnn", "lstm"]


def test_sequences_of_one_time_step_have_no_lag_curve(tmp_path: Path) -> None:
    done = run(tmp_path, *TINY, "seq_len=1", "figures=false", "tracking=none")
    assert done.code == 0, done.err
    page = Page(report_html(tmp_path))
    assert len(page.tables["results"]) == 2 and "; 1 time step;" in page.text


def test_a_run_that_diverges_before_a_step_ends_has_a_page(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "0", info_of("blown up"), config_of()) as folder:
        folder.close()
        at = {"step": 0, "timestep": 2, "quantity": "h", "before": []}
        folder.finish("diverged", {"diverged_at": at})
    page = Page(report_html(tmp_path))
    assert page.pictures == [] and "1 of 1 run diverged at training step 0" in page.text


def test_both_tables_contain_gains_of_0_and_shares_of_zeros(tmp_path: Path) -> None:
    lost = {"grad/gain": 0.0, "grad/log10_gain": None, "grad/zero_fraction": 1.0, "grad/horizon": 0.0}
    half = {"grad/gain": 0.1, "grad/log10_gain": -1.0, "grad/zero_fraction": 0.5, "grad/horizon": 30.0}
    more = ({"grad/horizon_first": 0.0}, {"grad/horizon_first": 4.0, "grad/zero_at_horizon": 0.25})
    for number, (summary, own) in enumerate(zip((lost, half), more, strict=True)):
        info = info_of(f"seed={number}") | {"number": number, "params": {"cell": "rnn", "seed": str(number)}}
        with RunFolder(tmp_path / str(number), info, config_of()) as folder:
            folder.close()
            folder.finish("finished", summary | own | {"regime": ("vanishing", "stable")[number]})
    page = Page(report_html(tmp_path))
    head, *rows = page.tables["runs"]
    shown = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["gain"], row["horizon"], row["regime"]) for row in shown] == [
        ("0", "0", "vanishing (100% zero)"),
        ("0.100 (50% zero)", "30 (first under 1% after 4, 25% zero)", "stable (50% zero)"),
    ]
    head, row = page.tables["results"]
    cells = dict(zip(head, row, strict=True))
    assert cells["gain"] == "0.100 (0 in 1 of 2 runs, 75% zero)"
    assert cells["horizon"] == "0 and 30 (first under 1% after 2, 25% zero)"
    assert "n% zero: fraction of probe examples" in page.text


@pytest.mark.parametrize(
    ("metrics", "loss"),
    [
        (["val/bpc", "val/bpc"], "val/bpc"),
        (["val/mse", None], "val/mse"),
        (["val/bpc", "val/mse"], "val/loss"),
        (["val/error_rate"], "val/error_rate"),
        ([None], "val/loss"),
    ],
)
def test_losses_are_drawn_in_the_unit_of_the_tables(metrics: list[str | None], loss: str) -> None:
    assert choose_metric(pd.DataFrame({"metric": metrics})) == loss
