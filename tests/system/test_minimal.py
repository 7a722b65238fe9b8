"""A step runs again only for what it depends on."""

from __future__ import annotations

import json
import sqlite3
import subprocess

from tests.support.program import Pybuild

STAGE = """FROM base AS made
COPY made.sh /
RUN sh /made.sh
"""
MADE = """set -e
mkdir -p /out/sub/deep /out/other
echo a > /out/a
echo b > /out/sub/b
echo c > /out/sub/deep/c
ln -s /out/sub /out/link
"""
TAKERS = {
    "a": "COPY --from=made /out/a /to/",
    "sub": "COPY --from=made /out/sub /to/",
    "linked": "COPY --link --from=made /out/link/b /to/",
    "parents": "COPY --from=made --parents --exclude=**/b /out/./sub /to/",
    "pattern": "COPY --from=made /out/s*/b /to/",
    "mount": "RUN --mount=from=made,source=out/sub,target=/m cat /m/b > /got",
    "writable": "RUN --mount=from=made,source=/out/link,target=/m,rw rm /m/b; ls /m > /got",
    "file": "RUN --mount=from=made,source=/out/a,target=/m cat /m > /got",
    "all": "COPY --from=made / /to/",
}


def takers_that_run(pybuild: Pybuild, script: str) -> set[str]:
    """Which of TAKERS run when the stage they take from is made by `script`, built at once."""
    pybuild.file("made.sh", script)
    stages = "".join(f"FROM base AS {name}\n{line}\n" for name, line in TAKERS.items())
    last = "".join(f"COPY --link --from={name} /etc/passwd /{name}\n" for name in TAKERS)
    ran = pybuild.build(f"{STAGE}{stages}FROM scratch\n{last}", "-t", "app").ok().ran
    return {name for name, line in TAKERS.items() if line in ran}


def test_a_step_depends_on_what_it_takes_of_a_stage(pybuild: Pybuild) -> None:
    pybuild.base()
    assert takers_that_run(pybuild, MADE) == set(TAKERS)
    sub = {"sub", "mount", "writable"}
    for change, seen in {
        "touch -d @1 /out/a; echo new > /new": set(),
        "chown 3:4 /out/a": {"a", "file"},
        "echo B > /out/sub/b": {*sub, "linked", "pattern"},
        "chmod 700 /out/sub": {"mount", "writable", "parents"},
        "chmod 700 /out/sub/deep; mkdir /out/s2; cp /out/a /out/s2/b": {*sub, "parents", "pattern"},
        # The other directory has the same file by that name, and nothing else.
        "cp -p /out/sub/b /out/other/b; ln -sfn other /out/link": {"writable"},
    }.items():
        assert takers_that_run(pybuild, f"{MADE}{change}\n") - {"all"} == seen, change


def test_so_it_does_for_a_user(as_user: Pybuild) -> None:
    as_user.base()
    assert takers_that_run(as_user, MADE) == set(TAKERS)
    assert takers_that_run(as_user, f"{MADE}chown 3:4 /out/a; touch /new\n") == {"a", "file", "all"}


def test_what_is_copied_is_what_the_key_says(pybuild: Pybuild) -> None:
    """Going back and forth, the image always has what the stage made."""
    pybuild.base()
    for text in ("one", "two", "one"):
        pybuild.file("made.sh", f"mkdir /out; echo {text} > /out/a; head -c 9 /dev/urandom > /out/noise")
        pybuild.build(f"{STAGE}FROM base\nCOPY --from=made /out/a /a\n", "-t", "app").ok()
        assert pybuild.shell("app", "cat /a") == f"{text}\n"


def test_what_is_taken_is_looked_up_without_looking_again(pybuild: Pybuild) -> None:
    """A cached build asks the memo; when that was lost, the step is found out to be cached all the same."""
    pybuild.base()
    pybuild.file("made.sh", MADE)
    text = f"{STAGE}FROM base\nCOPY --from=made /out/sub /to/\n"
    pybuild.build(text).ok()
    for snapshot in (pybuild.root / "snapshots").iterdir():
        subprocess.run(["rm", "-rf", snapshot], check=True)
    assert pybuild.build(text).ok().ran == []
    assert not list((pybuild.root / "snapshots").iterdir())
    with sqlite3.connect(pybuild.root / "pybuild.db") as db:
        assert db.execute("DELETE FROM memo WHERE kind = 'taken'").rowcount == 1
    again = pybuild.build(text).ok()
    assert again.ran == []
    assert "COPY --from=made /out/sub /to/" in again.cached
    assert again.err.count("COPY --from=made /out/sub /to/") == 1


def test_a_trigger_depends_on_what_it_copies(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build("FROM base\nONBUILD COPY --from=made /out/a /to/\n", "-t", "triggered").ok()
    for change, seen in {"": True, "touch /new": False, "echo A > /out/a": True}.items():
        pybuild.file("made.sh", f"{MADE}{change}\n")
        ran = pybuild.build(f"{STAGE}FROM triggered\nRUN true\n").ok().ran
        assert [line for line in ran if "/to/" in line] == ["COPY --from=made /out/a /to/"] * seen


def test_a_copy_from_an_image_depends_on_what_it_copies(pybuild: Pybuild) -> None:
    pybuild.base()
    text = "FROM base\nCOPY --from=tools /bin/sed /sed\nRUN test -e /sed\n"
    pybuild("tag", "base", "tools")
    pybuild.build(text).ok()
    pybuild.build("FROM base\nRUN touch /new\n", "-t", "tools").ok()
    assert pybuild.build(text).ok().ran == []
    pybuild.build("FROM base\nRUN rm /bin/sed && echo sed > /bin/sed\n", "-t", "tools").ok()
    assert pybuild.build(text).ok().ran == ["COPY --from=tools /bin/sed /sed", "RUN test -e /sed"]


def test_which_file_of_a_stage_it_was_is_told(pybuild: Pybuild) -> None:
    pybuild.base()
    text = f"{STAGE}FROM base\nCOPY --from=made /out /to/\nRUN --mount=from=made,source=/out/sub,target=/m ls /m > /l\n"
    pybuild.file("made.sh", MADE)
    pybuild.build(text).ok()
    pybuild.file("made.sh", f"{MADE}chown 3:4 /out/sub/b\nchmod 600 /out/sub/b\necho x > /out/sub/deep/d\n")
    pybuild.build(text).ok()
    told = pybuild("cache", "why", "5")
    assert "of what it takes, sub/b: mode 644 → 600, and 1 more" in told
    assert "it takes files of [made 3/3] RUN sh /made.sh" in told
    differences = json.loads(pybuild("cache", "why", "6", "--json"))["steps"][0]["differences"]
    (source,) = [one for one in differences if one["input"] == "source"]
    assert [(file["path"], file["change"]) for file in source["files"]] == [("b", "mode"), ("deep/d", "added")]


def test_what_is_not_there_is_an_error_of_the_step(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("made.sh", MADE)
    done = pybuild.build(f"{STAGE}FROM base\nCOPY --from=made /out/nothing /to/\n")
    assert done.status == 4
    assert "Buildfile:5" in done.err
    assert "/out/nothing is not in the stage or image it is copied from" in done.err


# --- a project of several stages ------------------------------------------------------------------

PROJECT = """# A service: its dependencies, its sources, tests, assets, and an image with what is left of them
ARG VERSION=1
FROM base AS deps
WORKDIR /app
COPY requirements.txt .
RUN mkdir vendor && for name in $(cat requirements.txt); do echo "library $name" > vendor/$name; done

FROM deps AS compiled
COPY src src
RUN mkdir dist && grep -hv '^#' src/*.py > dist/app.bin
RUN cat vendor/* dist/app.bin > dist/service

FROM base AS tested
COPY --from=compiled /app/dist/service /service
COPY tests /tests
RUN for name in /tests/*; do sh $name /service || exit 1; done; echo passed > /report

FROM base AS assets
COPY web /web
RUN cat /web/*.css > /style.css

FROM base AS release
ARG VERSION
COPY --from=compiled /app/dist/service /usr/bin/service
COPY --from=assets /style.css /srv/
COPY --from=tested /report /srv/
RUN --mount=from=deps,source=/app/vendor,target=/vendor ls /vendor > /srv/licences
LABEL version=$VERSION
CMD ["/usr/bin/service"]
"""
FILES = {
    "requirements.txt": "flask\nredis\n",
    "src/main.py": "# main\nrun\n",
    "src/util.py": "# util\nhelp\n",
    "tests/smoke.sh": "grep -q run $1\n",
    "web/a.css": "a {}\n",
    "README.md": "A service\n",
}


def test_a_project_runs_again_only_what_an_edit_reaches(pybuild: Pybuild) -> None:
    pybuild.base()
    for name, text in FILES.items():
        pybuild.file(name, text)

    def ran(*arguments: str) -> list[str]:
        return [" ".join(line.split()[:3]) for line in pybuild.build(PROJECT, "-t", "app", *arguments).ok().ran]

    assert len(ran()) == 15
    licences = "RUN --mount=from=deps,source=/app/vendor,target=/vendor ls"
    identity = json.loads(pybuild("inspect", "app"))[0]["Id"]
    assert ran() == []
    pybuild.file("README.md", "A better service\n")
    assert ran() == []
    # Only a comment: the service is as before, and so is all that is made of it.
    pybuild.file("src/main.py", "# The main program\nrun\n")
    assert ran() == ["COPY src src", "RUN mkdir dist", "RUN cat vendor/*"]
    pybuild.file("tests/smoke.sh", "grep -q run $1 # more\n")
    assert ran() == ["COPY tests /tests", "RUN for name"]
    pybuild.file("web/a.css", "a { }\n")
    assert ran() == [
        "COPY web /web",
        "RUN cat /web/*.css",
        "COPY --from=assets /style.css",
        "COPY --from=tested /report",
        licences,
    ]
    pybuild.file("web/b.css", "")
    assert ran() == ["COPY web /web", "RUN cat /web/*.css"]
    # A label alone, though an ARG counts for all RUNs that follow it.
    assert ran("--build-arg", "VERSION=2") == [licences]
    assert json.loads(pybuild("inspect", "app"))[0]["Config"]["Labels"] == {"version": "2"}
    for name, text in FILES.items():
        pybuild.file(name, text)
    (pybuild.work / "web/b.css").unlink()
    assert ran() == []
    assert json.loads(pybuild("inspect", "app"))[0]["Id"] == identity


# --- what is to run though it is known --------------------------------------------------------------

STAGES = """FROM base AS one
RUN echo 1 > /one
FROM base AS two
COPY conf /conf
RUN echo 2 \\
  > /two
FROM base
COPY --from=one /one /
COPY --from=two /two /
"""


def test_stages_and_steps_run_again_when_asked_for(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("conf", "c")
    pybuild.build(STAGES).ok()
    one, two = ["RUN echo 1 > /one"], ["COPY conf /conf", "RUN echo 2 \\"]
    copies = ["COPY --from=one /one /", "COPY --from=two /two /"]
    for options, ran in {
        ("--no-cache-filter", "one"): one,
        ("--no-cache-filter", "ONE, 1"): [*one, *two],
        ("--no-cache-filter", "two", "--no-cache-filter=stage-2"): [*two, *copies],
        ("--no-cache-step", "2"): one,
        ("--no-cache-step", "Buildfile:4", "--no-cache-step", "6"): two,
        ("--no-cache-filter", "two", "--target", "one"): [],
        ("--no-cache-step", "4", "--target", "one"): [],
    }.items():
        assert sorted(pybuild.build(STAGES, *options).ok().ran) == sorted(ran), options
    assert pybuild.build(STAGES).ok().ran == []
    for options, words in {
        ("--no-cache-filter", "three"): "its stages: one, two, stage-2",
        ("--no-cache-step", "3"): "no step is on line 3",
        ("--no-cache-step", "Other:2"): "the Buildfile is Buildfile",
        ("--no-cache-step", "one"): "write LINE or FILE:LINE",
    }.items():
        done = pybuild.build(STAGES, *options)
        assert (done.status, words in done.err) == (2, True), done.err


def test_a_step_says_how_long_its_result_is_good(pybuild: Pybuild) -> None:
    pybuild.base()
    text = "FROM base\nRUN --cache=ttl=1h echo a > /a\nRUN --cache=never head -c 9 /dev/urandom > /n\nRUN echo b > /b\n"
    never, last = "RUN --cache=never head -c 9 /dev/urandom > /n", "RUN echo b > /b"
    pybuild.build(text).ok()
    assert pybuild.build(text).ok().ran == [never, last]
    with sqlite3.connect(pybuild.root / "pybuild.db") as db:
        db.execute("UPDATE records SET created = created - 3601 WHERE line = 2")
    # What it makes is as before, so that what stands on it is cached.
    assert "RUN --cache=ttl=1h echo a > /a" in pybuild.build(text).ok().ran
    assert pybuild.build(text).ok().ran == [never, last]
    # How long is no part of the key, and a clock that was wrong does not make a result last.
    assert pybuild.build(text.replace("ttl=1h", "ttl=1m").replace("=never", "=ttl=1h")).ok().ran == []
    with sqlite3.connect(pybuild.root / "pybuild.db") as db:
        db.execute("UPDATE records SET created = created + 1e8 WHERE line = 2")
    assert "RUN --cache=ttl=1h echo a > /a" in pybuild.build(text).ok().ran


def test_equal_steps_of_a_build_run_once(pybuild: Pybuild) -> None:
    pybuild.base()
    step = "RUN --cache=never sleep 0.5; head -c 16 /dev/urandom | md5sum > /once"
    takers = "".join(f"FROM base AS s{n}\n{step}\n" for n in range(3))
    text = f"{takers}FROM scratch\nCOPY --from=s0 /once /0\nCOPY --from=s1 /once /1\nCOPY --from=s2 /once /2\n"
    for options in ((), ("--no-cache",)):
        built = pybuild.build(text, "-o", "out", *options).ok()
        assert built.ran.count(step) == 1
        assert "2 of 6 steps cached" in built.err
        assert len({(pybuild.work / "out" / str(n)).read_text() for n in range(3)}) == 1
