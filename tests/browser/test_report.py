"""The report of a sweep, opened as a file without a network in a real browser: `make test-browser`."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.analysis.report.page import write_report
from tests.analysis.synthetic_sweeps import write_sweep
from tests.browser.pages import NARROW, SCHEMES, WIDE, check_accessibility, opened
from tests.processes import TINY, run, run_info

ATTACK = "<img src=x onerror=document.title='attacked'><script>document.title='attacked'</script>"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a sweep with hostile run names and a hostile error message."""
    folder = tmp_path_factory.mktemp("attacked")
    words = [word for word in TINY if not word.startswith("seq_len")]
    sweep_result = run(
        folder, "-m", *words, "cell=rnn,lstm", "seq_len=9,20", "figures=false", "tracking=none"
    )
    assert sweep_result.code == 0, sweep_result.err
    for path in sweep_result.runs.values():
        info = run_info(path)
        info["name"] += ATTACK
        if info["number"] == 3:
            info |= {"outcome": "failed", "summary": {"error": f"ValueError: {ATTACK}"}}
        (path / "run.json").write_text(json.dumps(info))
    write_report(folder, folder / "report.html")
    return shutil.move(folder / "report.html", tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def page(attacked: Path, browser: Any) -> Iterator[Any]:
    page = opened(browser, attacked)
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of 60 runs: 12 conditions of five seeds each."""
    folder = tmp_path_factory.mktemp("sixty")
    seeds = tuple(map(str, range(5)))
    axes = {"cell": ("rnn", "lstm", "gru"), "lr": ("0.1", "0.01"), "clip": ("1", "null"), "seed": seeds}
    write_sweep(folder, axes)
    write_report(folder, folder / "report.html")
    return folder / "report.html"


def test_it_is_self_contained(page: Any, attacked: Path) -> None:
    assert page.complaints == []
    assert {url for url in page.requests if not url.startswith("data:")} == {f"file://{attacked}"}
    boxes = [figure.bounding_box() for figure in page.locator("figure svg").all() if figure.is_visible()]
    assert len(boxes) >= 6 and all(box["width"] > 200 and box["height"] > 100 for box in boxes)
    page.evaluate("const s = document.createElement('script'); s.text = 'x = 1'; document.body.append(s)")
    assert [text for text in page.complaints if "Content Security Policy" in text] == page.complaints != []


def test_names_and_reasons_are_escaped(page: Any) -> None:
    assert page.title().endswith("· rnnlab") and page.locator("img[src=x]").count() == 0
    assert page.locator("#failures td", has_text=f"ValueError: {ATTACK}").count() == 1
    assert page.locator("#runs td", has_text=ATTACK).count() == 4


@pytest.mark.parametrize("width", [WIDE, 800, NARROW])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["attacked", "sixty"])
def test_it_fits_any_width(
    browser: Any, name: str, scheme: str, width: int, request: pytest.FixtureRequest
) -> None:
    page = opened(browser, request.getfixturevalue(name), width, scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    boxes = [figure.bounding_box() for figure in page.locator("figure svg").all() if figure.is_visible()]
    assert len(boxes) >= 6 and all(box["width"] > 300 for box in boxes)
    assert page.complaints == []
    page.context.close()


def test_text_and_axes_follow_the_colour_scheme(browser: Any, attacked: Path) -> None:
    found = {}
    for scheme in SCHEMES:
        page = opened(browser, attacked, scheme=scheme)
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        drawn = page.locator("section.first .across svg path").evaluate_all(
            "all => [...new Set(all.flatMap(one => [getComputedStyle(one).stroke, getComputedStyle(one).fill]))]"
        )
        assert ink in drawn and paper not in drawn
        found[scheme] = ink, paper
        page.context.close()
    assert found["light"] != found["dark"]


def test_a_narrow_screen_shows_the_plots_below_each_other(browser: Any, sixty: Path) -> None:
    boxes = {}
    for width in (WIDE, NARROW):
        page = opened(browser, sixty, width)
        shown = [one for one in page.locator("section.first figure svg").all() if one.is_visible()]
        assert len(shown) == 1
        boxes[width] = shown[0].bounding_box()
        page.context.close()
    wide, narrow = boxes[WIDE], boxes[NARROW]
    assert wide["width"] > 1.3 * wide["height"] and narrow["height"] > 1.3 * narrow["width"]
    assert narrow["x"] >= 0 and narrow["x"] + narrow["width"] <= NARROW


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_buttons_have_the_colours_of_the_curves(browser: Any, tmp_path: Path, scheme: str) -> None:
    write_sweep(tmp_path, {"lr": ("0.1", "0.01", "0.001")})
    write_report(tmp_path, tmp_path / "report.html")
    page = opened(browser, tmp_path / "report.html", scheme=scheme)
    button = page.locator(".hues button").first
    marker = button.evaluate("one => getComputedStyle(one, '::before').filter")
    assert marker == page.locator("section.first .across svg").evaluate("one => getComputedStyle(one).filter")
    assert (marker == "none") == (scheme == "light")
    page.context.close()


def in_main(page: Any, hue: str) -> Any:
    return page.locator(f"section.first .across svg .curve[data-hue='{hue}']")


def test_the_name_of_a_curve_appears_under_the_pointer(page: Any) -> None:
    tooltip = page.locator("#curve-name")
    assert not tooltip.is_visible()
    names = set()
    for curve in in_main(page, "rnn").all():
        point = curve.locator("path").first.evaluate(
            """path => {
                const p = path.getPointAtLength(path.getTotalLength() * 0.6), m = path.getScreenCTM();
                return [p.x * m.a + p.y * m.c + m.e, p.x * m.b + p.y * m.d + m.f];
            }"""
        )
        page.mouse.move(*point)
        assert tooltip.is_visible()
        names.add(tooltip.inner_text())
        box = tooltip.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= WIDE
    assert names <= set(in_main(page, "rnn").evaluate_all("all => all.map(one => one.dataset.name)"))
    assert len(names) >= 2 and all(name.startswith("run rnn seq_len=") and ATTACK in name for name in names)
    page.mouse.move(5, 5)
    assert not tooltip.is_visible() and page.title().endswith("· rnnlab")


def test_a_button_hides_the_curves_of_its_colour(browser: Any, sixty: Path) -> None:
    page = opened(browser, sixty)
    buttons = page.locator(".hues button")
    assert buttons.all_inner_texts() == ["rnn", "lstm", "gru"]
    counts = {cell: in_main(page, cell).count() for cell in ("rnn", "lstm", "gru")}
    assert counts == {"rnn": 4, "lstm": 4, "gru": 4}, "two clip thresholds before and after training"

    def shown(cell: str) -> int:
        return int(page.locator(f"svg .curve[data-hue='{cell}']").evaluate_all(
            "all => all.filter(one => getComputedStyle(one).display !== 'none').length"
        ))  # fmt: skip

    whole = {cell: shown(cell) for cell in counts}
    lstm = page.get_by_role("button", name="lstm", exact=True)
    lstm.click()
    assert lstm.get_attribute("aria-pressed") == "false"
    assert {cell: shown(cell) for cell in counts} == whole | {"lstm": 0}, "in all figures"
    lstm.press("Enter")
    assert lstm.get_attribute("aria-pressed") == "true" and {cell: shown(cell) for cell in counts} == whole
    assert page.complaints == []
    page.context.close()


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["attacked", "sixty"])
def test_axe_finds_no_violation(
    browser: Any, name: str, scheme: str, width: int, request: pytest.FixtureRequest
) -> None:
    page = opened(browser, request.getfixturevalue(name), width, scheme)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    page.locator(".hues button").first.click()
    check_accessibility(page)
    page.context.close()


def natural(text: str) -> list[Any]:
    """Return a sort key that orders the numbers in a name by value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def column(page: Any, name: str) -> list[str]:
    """Return the cells of a column of the table of runs, from top to bottom."""
    heads = page.locator("#runs th button").all_inner_texts()
    at = heads.index(name) + 1
    return page.locator(f"#runs tbody td:nth-child({at})").all_inner_texts()


@pytest.mark.parametrize("name", ["run", "seq_len", "value", "outcome"])
def test_a_click_on_a_heading_sorts_and_a_second_click_reverses_the_order(page: Any, name: str) -> None:
    def in_order(values: list[str]) -> list[Any]:
        return sorted(values, key=float if name in ("seq_len", "value") else natural)

    def known(values: list[str]) -> list[str]:
        return [value for value in values if value != "–"]

    before = column(page, name)
    head = page.locator("#runs th button", has_text=name).first
    head.click()
    up = column(page, name)
    assert sorted(up) == sorted(before) and known(up) == in_order(known(up))
    head.click()
    down = column(page, name)
    assert known(down) == known(up)[::-1]
    assert down[len(known(down)) :] == ["–"] * before.count("–")  # runs without a value remain last
    assert head.locator("..").get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_too(page: Any) -> None:
    page.locator("#runs th button").first.focus()
    page.keyboard.press("Enter")
    names = column(page, "run")
    assert names == sorted(names, key=natural)
