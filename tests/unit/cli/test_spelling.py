"""Words as Docker's flags may be written."""

from __future__ import annotations

import click
import pytest

from builder.cli.spelling import Spelling

OPTIONS = [
    click.Option(["-q", "--quiet"], is_flag=True),
    click.Option(["--no-cache"], is_flag=True),
    click.Option(["-t", "--tag"], multiple=True),
    click.Option(["--pull"], is_flag=False, flag_value="always"),
    click.Option(["--squash"], is_flag=False, flag_value=""),
]


@pytest.mark.parametrize(
    ("words", "put", "off"),
    [
        ("--no-cache .", "--no-cache .", ""),
        ("--no-cache=true .", "--no-cache .", ""),
        ("--no-cache=0 .", ".", "no_cache"),
        ("--no-cache --no-cache=false .", "--no-cache .", "no_cache"),
        ("--no-cache=false --no-cache .", "--no-cache .", ""),
        ("-q=false .", ".", "quiet"),
        ("--pull .", "--pull=always .", ""),
        ("--pull=never .", "--pull=never .", ""),
        ("--squash .", "--squash= .", ""),
        # What is the value of another option is none of its own.
        ("--tag --pull .", "--tag --pull .", ""),
        ("-t --no-cache=false .", "-t --no-cache=false .", ""),
        ("-qt --pull .", "-qt --pull .", ""),
        ("-tx --pull .", "-tx --pull=always .", ""),
        ("--tag=x --pull", "--tag=x --pull=always", ""),
        ("--unknown --pull", "--unknown --pull=always", ""),
        ("--tag", "--tag", ""),
        ("--pull -- --pull", "--pull=always -- --pull", ""),
        ("- --pull", "- --pull=always", ""),
    ],
)
def test_what_click_is_given(words: str, put: str, off: str) -> None:
    spelling = Spelling(OPTIONS, interspersed=True)
    assert " ".join(spelling.put(words.split())) == put
    assert spelling.off == set(off.split())


def test_words_of_a_program_that_is_run_are_left_alone() -> None:
    words = ["--no-cache=true", "image", "program", "--no-cache=false", "--pull"]
    assert Spelling(OPTIONS, interspersed=False).put(words) == ["--no-cache", *words[1:]]


def test_what_is_neither_true_nor_false() -> None:
    with pytest.raises(click.BadParameter, match="'maybe' is neither true nor false"):
        Spelling(OPTIONS, interspersed=True).put(["--no-cache=maybe"])
