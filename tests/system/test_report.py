"""`build --report`: the page says what there was, and a browser shows it, with nothing to complain about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.browser import Browser
from tests.support.program import Pybuild

BUILDFILE = """\
FROM tools AS base
FROM base AS compile
COPY src /src
RUN cat /src/* > /program
FROM base AS docs
RUN echo 'a & b <manual>' > /manual
FROM base AS unused
RUN false
FROM base
COPY --from=compile /program /program
COPY --from=docs /manual /manual
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def project(pybuild: Pybuild) -> Pybuild:
    pybuild.base("tools")
    pybuild.file("src/a.c", "int a;\n")
    return pybuild


def test_the_page_of_a_build(project: Pybuild, browser: Browser) -> None:
    page = project.work / "build.html"
    project.build(BUILDFILE, "-t", "app", "--report", str(page)).ok()
    browser.open(page)
    assert not browser.complaints
    assert browser.value("document.title") == "app:latest: built"
    assert browser.value("document.querySelectorAll('#graph .box').length") == 6
    states = "[...document.querySelectorAll('#table tbody tr')].map(row => row.className.split(' ')[0])"
    assert browser.value(states) == ["cached", *["done"] * 5, "skipped"]
    assert browser.value("document.querySelector('#step-3 code').textContent") == (
        "[docs 2/2] RUN echo 'a & b <manual>' > /manual"
    )
    assert browser.value("document.querySelectorAll('#timeline rect.p-command').length") >= 2
    inside = "[...document.querySelectorAll('svg')].every(svg => svg.getBBox().width <= svg.width.baseVal.value)"
    assert browser.value(inside), "nothing is drawn where nobody sees it"
    labels = "[...document.querySelectorAll('.box')].every(box => box.querySelector('text').getBBox().width < 242)"
    assert browser.value(labels), "labels stay in their boxes"

    project.build(BUILDFILE, "-t", "app", "--report", str(page)).ok()
    browser.open(page)
    assert set(browser.value(states)) == {"cached", "skipped"}, "also of a build that would be answered at once"


def test_the_page_of_a_failure_on_a_narrow_screen(project: Pybuild) -> None:
    page = project.work / "build.html"
    recipe = "FROM tools\nRUN echo before && cat '/<nothing>'\n"
    assert project.build(recipe, "--report", str(page)).status == 1
    with Browser(400, 800) as narrow:
        narrow.open(page, dark=True)
        assert not narrow.complaints
        assert narrow.value("document.title") == "Buildfile: failed"
        log = narrow.value("document.querySelector('#failure details[open] pre').textContent")
        assert log == "before\ncat: can't open '/<nothing>': No such file or directory\n"
        source = narrow.value("document.querySelector('#failure .source').textContent")
        assert source.startswith("Buildfile:2\nRUN echo")
        assert narrow.value("document.documentElement.scrollWidth") <= 400, "only what is wide scrolls, in itself"
        dark = narrow.value("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(20, 23, 26)"


def test_a_buildfile_that_is_wrong_and_a_path_that_is(project: Pybuild) -> None:
    page = project.work / "build.html"
    assert project.build("FROM tools\nRUNN x\n", "--report", str(page)).status == 3
    text = page.read_text()
    assert "Buildfile:2" in text
    assert "RUNN x" in text
    refused = project.try_("build", "--report", "nowhere/build.html", ".")
    assert refused.returncode == 2
    assert refused.stderr == "error: --report nowhere/build.html: No such file or directory\n"
    for command in (("plan",), ("verify-reproducible",)):
        refused = project.try_(*command, "--report", "x.html", ".")
        assert refused.returncode == 2
        assert "--report and --logfile are of one build" in refused.stderr
