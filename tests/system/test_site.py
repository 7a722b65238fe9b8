"""`make docs`: the site builds without a warning, has all pages, and opens without a server or a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.arch.test_docs import PAGES, commands
from tests.support.browser import Browser

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "docs/site/build.py", str(target)], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return target


def test_every_page_is_there(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(TOP)).with_suffix(".html").exists() or page.name == "README.md"
    for words in commands():
        text = (site / f"reference/{words.replace(' ', '-')}.html").read_text()
        assert f'<h1 id="pybuild-{words.replace(" ", "-")}">' in text
    assert (site / "index.html").exists()
    assert "PYBUILD_BUILD_JOBS" in (site / "reference/build.html").read_text()


def test_pages_are_read_from_the_disk(site: Path) -> None:
    with Browser() as browser:
        for page, heading in (("index.html", "pybuild"), ("docs/cache.html", "The cache and the store")):
            browser.open(site / page)
            assert browser.value("document.querySelector('h1').firstChild.textContent") == heading
            outside = "[...document.querySelectorAll('[src],link[href]')].map(e => e.src || e.href)"
            assert all(address.startswith("file:") for address in browser.value(outside) if address)
            assert browser.value("document.querySelectorAll('.md-content table').length") > 0 or page == "index.html"
