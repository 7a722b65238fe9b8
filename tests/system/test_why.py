"""`cache why` on a small but real project of several stages: each kind of change is told as what it is."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.golden import CASES, check
from tests.support.program import Pybuild
from tests.support.web import site

TEXT = """FROM base AS deps
WORKDIR /app
COPY requirements.txt .
RUN mkdir /packages && sed s/==/-/ requirements.txt > /packages/installed

FROM deps AS build
ARG VERSION=1.0
ENV OPTIMIZE=yes
COPY src src
RUN cat src/*.py | grep -v '^#' > bundle && echo $OPTIMIZE > flags
RUN echo $VERSION > version

FROM base AS docs
COPY README.md .

FROM base
COPY --from=deps /packages /packages
COPY --from=build /app /app
COPY run.sh /
RUN wc -c /app/bundle > /size
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and a work directory in which all has been built once."""
    top = tmp_path_factory.mktemp("why")
    pybuild = Pybuild(top / "store", top / "work")
    pybuild.work.mkdir()
    pybuild.base()
    pybuild.file("requirements.txt", "flask==3.0\nlark==1.1\n")
    pybuild.file("README.md", "# An app\n")
    pybuild.file("src/main.py", "# the beginning\nprint(1)\n")
    pybuild.file("src/views.py", "print(2)\n")
    pybuild.file("run.sh", "#!/bin/sh\n", 0o755)
    pybuild.build(TEXT, "-t", "app").ok()
    return top


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Pybuild:
    subprocess.run(["cp", "-a", "--", template / "store", template / "work", tmp_path], check=True)
    return Pybuild(tmp_path / "store", tmp_path / "work")


def told(pybuild: Pybuild, *arguments: str) -> str:
    """What `cache why` says, without what is another each time."""
    text = pybuild("cache", "why", *arguments)
    text = re.sub(r"build [0-9a-f]{14}", "build ID", text)
    text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)
    text = re.sub(r"compared with [0-9a-f]{12}, made \S+ \S+", "compared with KEY, made DATE", text)
    text = re.sub(r"on \d{4}-\d\d-\d\d \d\d:\d\d by", "on DATE by", text)
    return re.sub(r"(less than a second|\d+ seconds?|about a minute) ago", "AGO", text)


def compare(name: str, got: str, accept: bool) -> None:
    check(CASES / "why" / f"{name}.txt", got, accept)


def test_a_source_edit_is_followed_to_its_file(project: Pybuild, accept: bool) -> None:
    project.file("src/views.py", "print(3)\n")
    project.build(TEXT).ok()
    compare("source-edit", told(project), accept)


def test_a_dependency_bump_is_followed_through_two_stages(project: Pybuild, accept: bool) -> None:
    project.file("requirements.txt", "flask==3.1\nlark==1.1\n")
    project.build(TEXT).ok()
    compare("dependency-bump", told(project), accept)


def test_arguments_and_environment_have_their_old_and_new_values(project: Pybuild, accept: bool) -> None:
    project.build(TEXT, "--build-arg", "VERSION=2.0").ok()
    compare("argument", told(project), accept)
    project.build(TEXT.replace("OPTIMIZE=yes", "OPTIMIZE=no TOKEN=hunter2")).ok()
    compare("environment", told(project), accept)
    assert "hunter2" not in project("cache", "why", "--json")
    assert "hunter2" not in project("cache", "why", "Buildfile:10")


def test_modes_links_and_names_of_files_are_told(project: Pybuild, accept: bool) -> None:
    (project.work / "run.sh").chmod(0o700)
    project.build(TEXT).ok()
    compare("mode", told(project), accept)
    (project.work / "src" / "views.py").rename(project.work / "src" / "pages.py")
    (project.work / "src" / "link.py").symlink_to("main.py")
    project.build(TEXT).ok()
    compare("renamed", told(project, "Buildfile:9"), accept)
    (project.work / "src" / "link.py").unlink()
    (project.work / "src" / "link.py").symlink_to("pages.py")
    project.build(TEXT).ok()
    assert "src/link.py: link main.py → pages.py" in project("cache", "why", "Buildfile:9")


def test_a_base_is_told_with_both_digests(project: Pybuild, accept: bool) -> None:
    project.build("FROM base\nRUN touch /patched\n", "-t", "base").ok()
    project.build(TEXT).ok()
    compare("base", told(project), accept)
    (base,) = {c["difference"]["after"] for c in causes(project) if c["difference"]["input"] == "base"}
    assert base.startswith("sha256:")


def causes(pybuild: Pybuild) -> list[dict[str, dict[str, str]]]:
    steps = json.loads(pybuild("cache", "why", "--format", "json"))["steps"]
    return [cause for step in steps for cause in step["because"]]


def test_an_edit_of_the_buildfile_is_shown(project: Pybuild, accept: bool) -> None:
    edited = TEXT.replace("mkdir /packages", "mkdir -p /packages").replace(
        "COPY run.sh /\n", "COPY run.sh /\nRUN true\n"
    )
    project.build(edited).ok()
    compare("buildfile-edit", told(project), accept)


def test_early_cutoff_is_told(project: Pybuild, accept: bool) -> None:
    """Only a comment changes, and a step that runs again makes what it had made."""
    edited = TEXT.replace("echo $VERSION > version", "printf '%s\\n' $VERSION > version")
    project.build(edited).ok()
    compare("cutoff-command", told(project), accept)
    project.file("src/main.py", "# another beginning\nprint(1)\n")
    project.build(edited).ok()
    compare("cutoff-comment", told(project), accept)


def test_a_build_that_misses_nothing_says_so(project: Pybuild, accept: bool) -> None:
    project.build(TEXT).ok()
    compare("nothing", told(project, "--last"), accept)
    first = json.loads(project("cache", "why", "--json"))
    assert first["later"]["buildfile"] == "Buildfile"
    assert json.loads(project("cache", "why", "--json", "--build", first["build"]["id"]))["later"] is None
    for journal in (project.root / "logs").glob("*.jsonl"):
        journal.unlink()
    assert json.loads(project("cache", "why", "--json"))["build"] is None
    assert project.try_("cache", "why", "Buildfile:3").returncode == 4


def test_other_reasons_have_words_of_their_own(project: Pybuild, accept: bool) -> None:
    project.build(TEXT, "--no-cache").ok()
    compare("no-cache", told(project, "Buildfile:4"), accept)
    assert project.build(TEXT.replace("wc -c /app/bundle", "false")).status == 1
    failed = told(project)
    assert "RUN false > /size\n    command changed: wc -c /app/bundle > /size → false > /size" in failed
    (made,) = (r for r in json.loads(project("cache", "ls", "--format", "json")) if r["place"] == "Buildfile:18")
    for blob in (project.root / "blobs" / "sha256").iterdir():
        data = blob.read_bytes()
        if data[:4] == b"\x28\xb5\x2f\xfd" and len(data) < 400:
            blob.unlink()
    project.build(TEXT).ok()
    compare("lost", told(project, "Buildfile:18"), accept)
    assert made["key"] in project("cache", "why", "--json")


def test_a_cached_step_below_is_compared_with_what_was_there(pybuild: Pybuild) -> None:
    """The newest of two records that are as near stood on another state, which is known, and so cached now."""
    pybuild.base()
    text = "FROM base\nCOPY conf /\nCOPY src /\nRUN cat /conf /src\n"
    for conf, src in (("1", "1"), ("2", "2"), ("1", "2")):
        pybuild.file("conf", conf)
        pybuild.file("src", src)
        pybuild.build(text).ok()
    found = told(pybuild)
    assert "it stands on [2/4] COPY conf / (Buildfile:2), which changed: conf: content changed" in found
    assert "root cause: [2/4] COPY conf / (Buildfile:2): conf: content changed" in found
    assert "Buildfile:2  [2/4]" not in found


def test_steps_are_named_as_for_logs(project: Pybuild) -> None:
    assert "WORKDIR /app" in project("cache", "why", "WORKDIR")
    assert project.try_("cache", "why", "Buildfile:99").returncode == 4
    assert project.try_("cache", "why", "--last", "--build", "x").returncode == 2
    assert project.try_("cache", "why", "--build", "x").returncode == 4


def test_nothing_of_a_store_without_builds(pybuild: Pybuild) -> None:
    done = pybuild.try_("cache", "why")
    assert done.returncode == 4
    assert "no build has left a log" in done.stderr


def test_a_proxy_is_no_reason(project: Pybuild) -> None:
    project.build(TEXT, "--build-arg", "HTTP_PROXY=http://user:pw@p", "--no-cache").ok()
    assert "HTTP_PROXY" not in project("cache", "why", "--json")


def test_damaged_records_and_journals_are_survived(project: Pybuild) -> None:
    project.file("src/views.py", "print(3)\n")
    project.build(TEXT).ok()
    connection = sqlite3.connect(project.root / "pybuild.db")
    connection.execute("UPDATE listings SET data = x'28b52ffd00'")
    connection.execute("UPDATE records SET preimage = x'ff'")
    connection.commit()
    connection.close()
    assert "the files it takes changed; which, is not known any more" in project("cache", "why", "Buildfile:9")
    (journal, *_) = sorted((project.root / "logs").glob("*.jsonl"), reverse=True)
    os.truncate(journal, Path(journal).stat().st_size // 2)
    project("cache", "why")


def test_what_was_pruned_is_told_as_evicted(project: Pybuild, accept: bool) -> None:
    project("cache", "prune", "--all", "--force", "--filter", "stage=build")
    project.build(TEXT).ok()
    compare("evicted", told(project), accept)


def test_steps_with_a_policy_of_their_own_say_so(pybuild: Pybuild) -> None:
    pybuild.base()
    uuid = "/proc/sys/kernel/random/uuid"
    text = f"FROM base\nRUN --cache=ttl=1ms echo a > /a\nRUN --cache=never cat {uuid} > /b\nRUN true\n"
    pybuild.build(text).ok()
    pybuild.build(text).ok()
    found = pybuild("cache", "why")
    assert "expired: its result is older than --cache=ttl= lets it be\n    it made the same as before" in found
    assert "it runs in every build: --cache=never" in found
    assert "which changed: it ran, as in every build, by --cache=never" in found


def test_attributes_and_odd_names_are_told(project: Pybuild) -> None:
    os.setxattr(project.work / "run.sh", "user.kept", b"1")
    project.file(os.fsdecode(b"src/\xff"), "x")
    project.build(TEXT).ok()
    assert "run.sh: extended attribute user.kept changed" in project("cache", "why", "Buildfile:19")
    assert "src/\\xff: added" in project("cache", "why", "Buildfile:9")
    json.loads(project("cache", "why", "--json"))


def test_what_a_server_gives_is_told(pybuild: Pybuild, tmp_path: Path) -> None:
    pybuild.base()
    with site(tmp_path / "repositories") as web:
        address = web.put("/data.txt", "one")
        text = f"FROM base\nADD {address} /\nRUN cat /data.txt\n"
        pybuild.build(text).ok()
        web.put("/data.txt", "other")
        pybuild.build(text).ok()
    found = told(pybuild)
    assert "what is fetched changed: sha256:… → sha256:…" in found
    assert f"it takes files of fetch {address} (Buildfile:2), which changed: what is fetched changed" in found


def test_an_ordinary_user_is_told_as_much(as_user: Pybuild) -> None:
    as_user.base()
    as_user.file("a", "1")
    text = "FROM base\nCOPY a /\nRUN cat /a > /b\n"
    as_user.build(text).ok()
    as_user.file("a", "2")
    as_user.build(text).ok()
    assert "COPY a / (Buildfile:2), which changed: a: content changed" in as_user("cache", "why")
    assert json.loads(as_user("plan", "--json", "."))["runs"] is False
    assert " b\n" not in as_user("cache", "show", "Buildfile:3")
    assert " b\n" in as_user("cache", "show", "--files", "Buildfile:3")
