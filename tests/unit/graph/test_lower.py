from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BuildfileError, NotFoundError, PybuildError
from builder.graph.changes import Changes
from builder.graph.contexts import Contexts
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.render import render
from builder.graph.vertex import Copy, Graph, HostPath, Run, Workdir
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lang.parser import parse
from builder.lang.source import Source
from tests.support.golden import cases, check

AMD64 = Platform("linux", "amd64")
OPTIONS = LowerOptions(AMD64, AMD64)


class Images:
    """A resolver that knows every image but `missing`, and counts what it was asked for."""

    def __init__(self, **config: object) -> None:
        self.config = ImageConfig(AMD64, env=(("PATH", "/bin"),), **config)  # type: ignore[arg-type]
        self.asked: list[str] = []

    def base(self, reference: str, platform: Platform) -> Base:
        self.asked.append(reference)
        if reference == "missing":
            raise NotFoundError("no such image: missing")
        return Base(reference, Digest.of(reference.encode()), self.config)


def lowered(text: str, images: Images | None = None, **options: object) -> Graph:
    source = Source("Buildfile", text)
    return lower(parse(source), source, replace(OPTIONS, **options), images or Images())  # type: ignore[arg-type]


@pytest.mark.parametrize("case", cases("lower"), ids=lambda p: p.name)
def test_a_file_has_its_graph(case: Path, accept: bool) -> None:
    graph = lowered((case / "Buildfile").read_text())
    check(case / "graph.json", render(graph, "json") + "\n", accept)


def runs(graph: Graph) -> list[Run]:
    return [v for v in graph.vertices if isinstance(v, Run)]


def test_stages_nobody_needs_are_not_looked_up() -> None:
    images = Images()
    lowered("FROM missing AS a\nRUN x\nFROM base\nRUN y", images)
    assert images.asked == ["base"]


def test_a_stage_may_be_called_scratch_and_is_one() -> None:
    assert [r.argv[-1] for r in runs(lowered("FROM base AS scratch\nRUN below\nFROM scratch\nRUN above"))] == [
        "below",
        "above",
    ]


def test_the_target_is_a_name_or_a_number() -> None:
    text = "FROM base AS a\nRUN in-a\nFROM base AS b\nRUN in-b"
    assert [r.argv[-1] for r in runs(lowered(text, target="a"))] == ["in-a"]
    assert [r.argv[-1] for r in runs(lowered(text, target="A"))] == ["in-a"]
    assert [r.argv[-1] for r in runs(lowered(text, target="0"))] == ["in-a"]
    with pytest.raises(NotFoundError, match="c"):
        lowered(text, target="c")


def test_a_build_argument_reaches_run_and_history() -> None:
    graph = lowered("FROM base\nARG X=1\nRUN a", build_args={"X": "2"})
    assert dict(runs(graph)[0].env)["X"] == "2"
    assert graph.targets[0].config.history[-1].created_by == "RUN |1 X=2 /bin/sh -c a # buildkit"


@pytest.mark.parametrize(
    ("lines", "seen", "kept"),
    [
        ("ARG X=1\nENV X=3", "3", "3"),
        ("ENV X=3\nARG X=1", "2", "3"),
        ("ENV X=3\nARG Y", "3", "3"),
        ("ARG X=1\nENV X=$X-more", "2-more", "2-more"),
    ],
)
def test_of_an_arg_and_an_env_the_later_one_is_seen_and_the_env_is_kept(lines: str, seen: str, kept: str) -> None:
    graph = lowered(f"FROM base\n{lines}\nRUN a", build_args={"X": "2"})
    assert dict(runs(graph)[0].env)["X"] == seen
    assert dict(graph.targets[0].config.env)["X"] == kept


def test_a_global_arg_must_be_declared_again() -> None:
    assert "X" not in dict(runs(lowered("ARG X=1\nFROM base\nRUN a"))[0].env)
    assert dict(runs(lowered("ARG X=1\nFROM base\nARG X\nRUN a"))[0].env)["X"] == "1"


def test_proxies_are_seen_but_not_kept() -> None:
    graph = lowered("FROM base\nRUN a", build_args={"HTTP_PROXY": "http://p"})
    assert runs(graph)[0].proxy_env == (("HTTP_PROXY", "http://p"), ("http_proxy", "http://p"))
    assert "HTTP_PROXY" not in dict(runs(graph)[0].env)
    assert "http://p" not in str(graph.targets[0].config.history)


def test_unused_build_arguments_warn() -> None:
    assert "NOBODY" in lowered("FROM base\nRUN a", build_args={"NOBODY": "1"}).warnings[0][0]


def test_an_entrypoint_takes_the_bases_command_away_but_not_its_own() -> None:
    images = Images(cmd=("base",))
    assert lowered('FROM base\nENTRYPOINT ["e"]', images).targets[0].config.cmd is None
    assert lowered('FROM base\nCMD ["c"]\nENTRYPOINT ["e"]', images).targets[0].config.cmd == ("c",)


def test_triggers_run_first_and_are_not_handed_on() -> None:
    graph = lowered("FROM base\nRUN own", Images(on_build=("RUN trigger", "ENV T=1")))
    assert [r.argv[-1] for r in runs(graph)] == ["trigger", "own"]
    assert dict(runs(graph)[1].env)["T"] == "1"
    assert graph.targets[0].config.on_build == ()


def test_equal_steps_are_shared() -> None:
    graph = lowered("FROM base AS a\nRUN x\nFROM base AS b\nRUN x\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /")
    assert sum(isinstance(v, Copy) for v in graph.vertices) == 2


def test_directories_add_up() -> None:
    graph = lowered("FROM base\nWORKDIR /a\nWORKDIR b/../c/\nRUN x\nCOPY f .\nCOPY f ./g")
    assert [v.path for v in graph.vertices if isinstance(v, Workdir)] == ["/a", "/a/c"]
    assert runs(graph)[0].cwd == "/a/c"
    assert [v.destination for v in graph.vertices if isinstance(v, Copy)] == ["/a/c/", "/a/c/g"]


def test_a_source_that_is_empty_in_the_end_is_the_whole_context() -> None:
    graph = lowered("FROM base\nCOPY $NOTHING /d/")
    assert [v.paths for v in graph.vertices if isinstance(v, Copy)] == [("",)]


def test_a_named_context_may_be_a_stage() -> None:
    contexts = Contexts({}, {"files": "Made"})
    text = "FROM base AS made\nRUN make\nFROM files\nCOPY --from=files /a /b\nRUN --mount=from=files,target=/m use"
    graph = lowered(text, contexts=contexts)
    assert [r.argv[-1] for r in runs(graph)] == ["make", "use"]
    assert [v.source for v in graph.vertices if isinstance(v, Copy)] == [runs(graph)[1].mounts[0].origin]  # type: ignore[union-attr]
    with pytest.raises(NotFoundError, match="no such stage"):
        lowered("FROM base", contexts=contexts)


def test_pairs_see_the_environment_from_before() -> None:
    config = lowered("FROM base\nENV a=1\nENV a=2 b=$a").targets[0].config
    assert dict(config.env) == {"PATH": "/bin", "a": "2", "b": "1"}


def test_scratch_has_a_path_and_a_directory() -> None:
    config = lowered("FROM scratch\nCMD x").targets[0].config
    assert config.env == (("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),)
    assert config.working_dir == "/"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("RUN x\nFROM base", 1),
        ("FROM $NOTHING", 1),
        ("FROM missing", 1),
        ("FROM base\nCOPY --from=later a b\nFROM base AS later\nFROM base\nCOPY --from=0 x y", 2),
        ('FROM base\nENV a="open', 2),
        ("FROM base\nCOPY --from=$X a b", 2),
        ("FROM base\nCOPY --from=0 a b", 2),
        ("FROM base\nEXPOSE 99999", 2),
        ("FROM base\nSTOPSIGNAL NONSENSE", 2),
        ("FROM base\nHEALTHCHECK --interval=soon CMD x", 2),
        ("FROM base\nRUN --network=some x", 2),
        ("FROM base\nRUN --security=some x", 2),
        ("FROM base\nCOPY --chmod=u+y a b", 2),
        ("FROM base\nADD --checksum=sha256:0 a b", 2),
        ("FROM base\nADD --checksum=sha256:0 https://example.com/x /y", 2),
        ("FROM base\nADD --checksum=main https://example.com/x.git /y", 2),
        ("FROM base\nADD --checksum=sha256:" + "0" * 64 + " https://example.com/x https://example.com/y /z/", 2),
        ("FROM base\nADD --keep-git-dir=true https://example.com/x.git?keep-git-dir=false /y", 2),
        ("FROM base\nADD https://example.com/x.git?nonsense=1 /y", 2),
        ("FROM base\nADD https://example.com/x.git#-x /y", 2),
        ("FROM base\nCOPY https://example.com/x /y", 2),
        ("FROM base\nCOPY git@example.com:x.git /y", 2),
        ("FROM --platform=windows/amd64 base", 1),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, line: int) -> None:
    with pytest.raises(PybuildError) as caught:
        lowered(text)
    assert caught.value.where is not None
    assert caught.value.where.line == line


def test_an_empty_file_of_args_has_nothing_to_build() -> None:
    with pytest.raises(BuildfileError, match="nothing to build"):
        lowered("ARG x=1")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("COPY --from=missing /a /a", None),
        ("COPY --from=missin /a /a", "did you mean the stage missing?"),
        ("RUN --mount=from=misisng,target=/a true", "did you mean the stage missing?"),
        ("FROM mising", "did you mean the stage missing?"),
    ],
)
def test_an_image_that_is_not_there_may_be_meant_as_a_stage(line: str, hint: str | None) -> None:
    class Nothing(Images):
        def base(self, reference: str, platform: Platform) -> Base:
            raise NotFoundError("no such image")

    text = f"FROM scratch AS missing\nFROM scratch\n{line}\n"
    if hint is None:
        lowered(text, Nothing())
        return
    with pytest.raises(NotFoundError) as missed:
        lowered(text, Nothing())
    assert missed.value.hint == hint


CHANGED = Changes(
    base="other",
    env=(("A", "1"),),
    unset_env=("B",),
    unset_labels=("below",),
    omit_history=True,
    host_paths=(HostPath("/src", "/dst"),),
    confined=("no-hosts",),
)


def test_what_a_user_changes_of_a_file() -> None:
    text = "FROM base AS one\nENV B=$A\nRUN true\nFROM one\nENV A=2\nRUN true\n"
    images = Images(labels=(("below", "x"), ("kept", "y")))
    graph = lowered(text, images, changes=CHANGED)
    (target,) = graph.targets
    assert images.asked == ["other"]
    assert [dict(run.env)["A"] for run in runs(graph)] == ["1", "2"]
    assert [dict(run.env)["B"] for run in runs(graph)] == ["1", "1"]
    assert all(run.host_paths == CHANGED.host_paths and run.confined == ("no-hosts",) for run in runs(graph))
    assert (target.config.history, target.lines) == ((), ())
    assert dict(target.config.env) == {"PATH": "/bin", "A": "2"}
    assert target.config.labels == (("kept", "y"),)
