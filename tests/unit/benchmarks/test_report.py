"""What follows from samples, as numbers, lines, a page and a picture."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from benchmarks.cases import CASES, USUAL
from benchmarks.harness import Measure, Samples
from benchmarks.keep import ELSEWHERE, markdown, plot
from benchmarks.plot import Bar, bars
from benchmarks.report import Found, Report, head_lines, measure_lines

THREE = Samples((0.1, 0.2, 0.6), (0.2, 0.2, 0.3))


def report(*found: Found) -> Report:
    made = Report({"cpu": "one", "cores": "2", "load": "0.1"}, {"python -c pass": (0.01, 0.02)}, CASES, 3)
    made.found += found
    made.peers = {item.peer: {"version": "1"} for item in found if item.peer}
    return made


def test_ratios_are_of_the_same_round() -> None:
    measure = Measure("x", THREE)
    assert measure.ratios == pytest.approx([0.5, 1.0, 2.0])
    assert (measure.ours, measure.peer, measure.ratio) == pytest.approx((0.2, 0.2, 1.0))


def test_a_slope_s_ratio_is_that_of_the_medians_and_none_where_the_peer_does_not_grow() -> None:
    assert Measure("x", Samples((1.0, 2.0, 9.0), (4.0, 4.0, 1.0)), slope=True).ratio == 0.5
    assert Measure("x", Samples((1.0,), (-0.1,)), slope=True).ratio is None


def test_samples_alone_stay_alone() -> None:
    samples = Samples((3.0, 4.0)).minus(Samples((1.0, 1.0)))
    assert samples == ((2.0, 3.0), ())
    assert (Measure("x", samples).peer, Measure("x", samples).ratio) == (None, None)


def test_of_nothing_nothing_is_all() -> None:
    assert Measure("x", Samples((0.0,), (0.0,)), unit="steps").ratio == 1.0
    assert Measure("x", Samples((2.0,), (0.0,)), unit="steps").ratio == 2.0


def test_lines_of_a_table_stand_below_each_other() -> None:
    head = head_lines("docker", {"version": "1"})[-1]
    (line,) = measure_lines([Measure("ten steps", THREE)])
    assert line == f"{'ten steps':44}{'200.0 ms':>12}{'200.0 ms':>12}{'1.000':>8}  0.500–2.000"
    assert head.index("ratio") + len("ratio") == line.index("1.000") + len("1.000")


def test_the_page_has_the_target_and_the_reference_beside_what_was_measured() -> None:
    page = markdown(
        report(
            Found("P1", "docker", [Measure("ten", Samples((0.04,), (0.08,)))]),
            Found("P1", "buildah", [Measure("ten", Samples((0.06,), (0.6,)))]),
            Found("P10", "docker", [Measure("growth", Samples((0.1,), (0.2,)), slope=True)]),
            Found("P10", "", [Measure("more", Samples((1.5,)))]),
        ),
        "p.svg",
    )
    (row,) = re.findall(r"^\| P1 \| 10 RUN.*$", page, re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")[3:-1]]
    measured, reference = cells[:5], cells[5:]
    assert measured == ["50.0 ms", "80.0 ms", "0.500", "600.0 ms", "0.100"]
    assert reference == ["0.10 s", "0.500", "≤ 0.5", "50.0 ms", "yes"]
    assert ELSEWHERE in page
    assert "| P10 | more | 1500.0 ms | – | – | – | – | – |" in page
    assert not re.search(r"^\| P10 \| growth \|.*≤", page, re.MULTILINE)


def test_a_table_is_as_wide_as_its_head() -> None:
    page = markdown(report(Found("P9", "docker", [Measure("memory", Samples((9e7,), (2e8,)), unit="MB")])), "p.svg")
    assert "90.0 MB" in page
    widths: dict[str, set[int]] = {}
    for section in page.split("## ")[1:]:
        rows = [line for line in section.splitlines() if line.startswith("|")]
        widths[section.split("\n")[0]] = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert all(len(found) == 1 for found in widths.values()), widths


def test_json_has_every_sample() -> None:
    found = json.loads(report(Found("P1", "docker", [Measure("ten", THREE)])).to_json())
    (case,) = found["found"]
    assert case["measures"][0]["samples"] == {"ours": [0.1, 0.2, 0.6], "peer": [0.2, 0.2, 0.3]}
    assert found["cases"]["P1"]["target"] == 0.5


def test_the_picture_has_a_bar_for_each_peer_and_one_for_the_reference() -> None:
    found = [Found("P1", peer, [Measure("ten", THREE)]) for peer in ("docker", "buildah")]
    text = plot(report(*found, Found("P10", "docker", [Measure("a & b", Samples((1.0,), (-1.0,)), slope=True)])))
    picture = ElementTree.fromstring(text)
    shown = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert f"as a part of {ELSEWHERE}" in shown
    assert shown.count("1.00") == 2
    assert "P10  a & b" not in shown, "there is nothing to draw"


def test_bars_keep_to_the_picture_whatever_they_are() -> None:
    text = bars("t", [("one & two", [Bar("a", 0.0), Bar("a", -3.0), Bar("b", 250.0, 0.5), Bar("b", 0.004)])])
    for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 < float(element.attrib["width"]) <= 900
        assert float(element.attrib.get("x", 0)) + float(element.attrib["width"]) <= 900


def test_the_cases_are_in_their_order() -> None:
    assert tuple(f"P{number}" for number in range(1, 11)) == USUAL
