"""The recipes of examples/ci do what they are for, in containers that allow what they state and nothing more.

What stands for a CI system's own: `sudo` and `pip`, by which a machine is prepared; its variables; its caches and
volumes, directories that are kept from job to job.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support import recipes
from tests.support.container import FIRST, Containers, Walls, docker_s_profile
from tests.support.program import Pybuild
from tests.support.recipes import RECIPES, Job
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.rootfs import busybox_rootfs
from tests.support.walkthrough import Command, pattern, read

PAGE = Path(__file__).parents[2] / "docs/ci.md"
# What examples/ci/seccomp.json allows besides what Docker's profile does: namespaces, and mounts in them.
CALLS = (
    "clone", "fsconfig", "fsmount", "fsopen", "keyctl", "mount", "mount_setattr", "move_mount", "open_tree",
    "pivot_root", "sethostname", "setns", "umount", "umount2", "unshare",
)  # fmt: skip
# Platforms in the index of a release; that of attestations is unknown.
FOR = {"amd64", "arm64", "unknown"}
WHEEL = "https://server/pybuild-1-py3-none-any.whl"
_SUDO = """#!/bin/sh
case "$*" in
"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0") ;;
"apt-get update" | "apt-get install -y --no-install-recommends slirp4netns uidmap") ;;
*) echo "not understood: $*" >&2; exit 1 ;;
esac
"""
_PIP = f"""#!/bin/sh
[ "$*" = "install pybuild[sbom] @ {WHEEL}" ]
"""


@dataclass(frozen=True)
class Ci:
    """A CI system's side: containers; a registry that asks for a login, and what is in it; the project; its base."""

    containers: Containers
    registry: str
    storage: Path
    base: str
    project: Path

    def run(self, job: Job, places: Mapping[str, Path], status: int = 0) -> str:
        """Run a job; `places` are the directories it has as its own, by where it sees them. Gives what it printed."""
        assert set(places) == set(job.volumes)
        own = str(job.walls.user + (FIRST if job.walls.own_users else 0))
        for path in places.values():
            path.mkdir(parents=True, exist_ok=True)
            subprocess.run(["chown", "-R", f"{own}:{own}", path], check=True)
        command = ("bash", "-c", job.script)
        done = self.containers.run(job.walls, *command, cwd=job.directory, volumes=places, env=job.env)
        printed = done.stdout + done.stderr
        assert done.returncode == status, printed
        assert PASSWORD not in printed
        return printed

    def released(self, name: str) -> dict[str, set[str]]:
        """The tags of a repository but for caches, each with the platforms it is for."""
        tags = self.storage / "docker/registry/v2/repositories" / name / "_manifests/tags"
        found = {}
        for tag in tags.iterdir() if tags.exists() else ():
            digest = (tag / "current/link").read_text().removeprefix("sha256:")
            index = json.loads(
                (self.storage / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data").read_text()
            )
            if tag.name != "cache":
                found[tag.name] = {one["platform"]["architecture"] for one in index["manifests"]}
        return found


@pytest.fixture(scope="module")
def ci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ci]:
    directory = tmp_path_factory.mktemp("ci")
    containers = Containers(directory)
    containers.program("sudo", _SUDO)
    containers.program("pip", _PIP)
    containers.capable("newuidmap", "cap_setuid=ep")
    containers.capable("newgidmap", "cap_setgid=ep")
    for name in ("public", "private"):
        (directory / name).mkdir()
    with Registry(directory / "public") as public, Registry(directory / "private", guarded=True) as private:
        vendor = Pybuild(directory / "vendor", directory / "base")
        vendor.file("rootfs.tar", busybox_rootfs())
        platforms = ("--platform", "linux/amd64,linux/arm64")
        base = f"{public.address}/base:1"
        vendor.build("FROM scratch\nADD rootfs.tar /\n", *platforms, "-t", base, "--push").ok()
        project = directory / "project"
        shutil.copytree(RECIPES, project)
        developer = vendor.on(directory / "developer")
        developer("lock", *platforms, "--build-arg", f"BASE={base}", str(project))
        yield Ci(containers, private.address, directory / "private/storage", base, project)


def edited(project: Path, directory: Path) -> Path:
    """A copy of the project, in which a word is new."""
    shutil.copytree(project, directory)
    with (directory / "words.txt").open("a") as file:
        file.write(f"{directory.name}\n")
    return directory


def test_github(ci: Ci, tmp_path: Path) -> None:
    """What a pull request reads is what the CI's cache has kept, and a registry's is not needed."""
    known = {"vars.REGISTRY": f"{ci.registry}/github", "vars.BASE": ci.base, "vars.PYBUILD": WHEEL, "github.sha": "abc"}
    secrets = {"secrets.REGISTRY_USER": USER, "secrets.REGISTRY_PASSWORD": PASSWORD}
    home, project = tmp_path / "home", edited(ci.project, tmp_path / "kiwi")
    printed = ci.run(recipes.github("push", known | secrets), {"/work": project, "/home/ci": home})
    assert "1 in the cache mount" in printed
    assert ci.released("github/words") == {"abc": FOR}
    check_results(project)
    # an action archives it, as the user of the machine
    assert {(path.stat().st_uid, path.stat().st_mode & 0o400) for path in (home / "ci-cache").rglob("*")} == {
        (1000, 0o400)
    }
    shutil.copytree(home / "ci-cache", tmp_path / "next/ci-cache")
    project = edited(ci.project, tmp_path / "plum")
    printed = ci.run(recipes.github("pull_request", known), {"/work": project, "/home/ci": tmp_path / "next"})
    assert "2 in the cache mount" in printed
    assert "CACHED (remote)" in printed
    assert set(ci.released("github/words")) == {"abc"}


@pytest.mark.parametrize("name", ["gitlab", "jenkins"])
def test_with_volumes(ci: Ci, tmp_path: Path, name: str) -> None:
    """A store that the CI system keeps serves pull requests as well, which have no login."""
    image = f"{ci.registry}/{name}"
    login = {"CI_REGISTRY": image, "CI_REGISTRY_USER": USER, "CI_REGISTRY_PASSWORD": PASSWORD}
    of_gitlab = {"CI_REGISTRY_IMAGE": image, "CI_COMMIT_SHA": "abc", "GITLAB_CI": "true"}
    of_jenkins = {"REGISTRY": image, "GIT_COMMIT": "abc", "WORKSPACE_TMP": "/tmp"}
    known = {"BASE": ci.base, **(of_gitlab if name == "gitlab" else of_jenkins)}
    secrets = login if name == "gitlab" else {"USR": USER, "PSW": PASSWORD}
    recipe = recipes.gitlab if name == "gitlab" else recipes.jenkins
    _, volume = recipe("push", known | secrets).volumes
    for event, word, mine in (("push", "kiwi", secrets), ("pull_request", "plum", {})):
        project = edited(ci.project, tmp_path / word)
        printed = ci.run(recipe(event, known | mine), {"/work": project, volume: tmp_path / "volume"})
        assert f"{1 + (event == 'pull_request')} in the cache mount" in printed
        assert (project / "report.html").exists()
    assert ci.released(f"{name}/words") == {"abc": FOR}
    check_results(tmp_path / "kiwi")


def test_kubernetes(ci: Ci, tmp_path: Path) -> None:
    """Jobs keep nothing on a node: the next one's cache is the registry's, mounts among it."""
    image = f"{ci.registry}/kubernetes"
    (tmp_path / "auth").mkdir()
    # what `kubectl create secret docker-registry` makes
    Pybuild(tmp_path / "none", tmp_path)(
        "login", "-u", USER, "-p", PASSWORD, "--authfile", "auth/.dockerconfigjson", image
    )
    for number, word in enumerate(("kiwi", "plum"), 1):
        project, own = edited(ci.project, tmp_path / word), tmp_path / f"pod-{number}"
        for words in (
            ["init", "-q"],
            ["add", "."],
            ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a"],
            ["tag", word],
        ):
            subprocess.run(["git", *words], cwd=project, check=True)
        known = {"REGISTRY": image, "BASE": ci.base, "SOURCE": "/source", "REVISION": word}
        source, build = recipes.kubernetes(known)
        places = {place: own / place.lstrip("/") for place in source.volumes} | {"/auth": tmp_path / "auth"}
        ci.run(replace(source, volumes=(*source.volumes, "/source")), {**places, "/source": project})
        printed = ci.run(build, places)
        assert f"{number} in the cache mount" in printed
        check_results(own / "results")
    assert ci.released("kubernetes/words") == {"kiwi": FOR, "plum": FOR}


def check_results(directory: Path) -> None:
    """What is kept of a release."""
    assert json.loads((directory / "metadata.json").read_text())["containerimage.digest"].startswith("sha256:")
    assert (directory / "report.html").read_text().startswith("<!doctype html>")


def test_what_is_allowed_is_needed(ci: Ci) -> None:
    """Without any one thing that a recipe states, its jobs end at once, where `pybuild doctor` stands."""
    known = {"CI_REGISTRY_IMAGE": "a", "REGISTRY": "a", "WORKSPACE_TMP": "/tmp"}
    gitlab, jenkins = recipes.gitlab("push", known), recipes.jenkins("push", known | {"USR": "", "PSW": ""})
    default = docker_s_profile()
    for walls, env in (
        (replace(gitlab.walls, profile=default), gitlab.env),
        (gitlab.walls, {**gitlab.env, "PYBUILD_PROC": ""}),
        (replace(jenkins.walls, profile=default), jenkins.env),
        (replace(jenkins.walls, unmasked=False), jenkins.env),
        *(
            (replace(jenkins.walls, profile=docker_s_profile(*(call for call in CALLS if call != less))), jenkins.env)
            for less in ("clone", "mount", "mount_setattr")
        ),
    ):
        done = ci.containers.run(walls, "pybuild", "--root", "/tmp/store", "doctor", env=env)
        assert done.returncode == 7, done.stdout


@pytest.mark.parametrize("shown", [*read(PAGE, "doctor")], ids=lambda shown: str(shown.status))
def test_what_doctor_says(ci: Ci, tmp_path: Path, shown: Command) -> None:
    job = recipes.docker_run(shown.line)
    printed = ci.run(job, {place: tmp_path / place.strip("/") for place in job.volumes}, status=shown.status)
    assert pattern(shown.output).fullmatch(printed), printed


# Which processes are pybuild's: those of the step have not these words, but a pattern, in their arguments.
LOOK = """FROM base
RUN --network=none test -e /proc/self/exe && grep -q plain /proc/1/cmdline && echo shared
RUN --network=none for each in $(grep -l 'builder[.]cli' /proc/[0-9]*/cmdline); do \\
        dir=${each%/cmdline}; echo process; head -c 1 $dir/environ && echo environment; \\
        ls $dir/root/ $dir/cwd/ && echo files; readlink $dir/fd/0 $dir/exe && echo descriptors; \\
    done 2>/dev/null; echo x 2>/dev/null >/proc/sys/kernel/core_pattern && echo sysctl; echo done
"""


@pytest.mark.parametrize("user", [1000, 0])
def test_in_a_shared_proc_nothing_can_be_looked_into(ci: Ci, tmp_path: Path, user: int) -> None:
    """Processes are seen, with their arguments; their environment, files and descriptors are not."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "rootfs.tar").write_bytes(busybox_rootfs())
    (work / "Buildfile").write_text(LOOK)
    script = "pybuild import rootfs.tar base && HUSH=x pybuild build --progress plain ."
    env = {"PYBUILD_PROC": "shared", "PYBUILD_ROOT": "/work/store"}
    job = Job(Walls(user=user), env, [(script, {})], "/work", ("/work",))
    said = re.findall(r"^#\d+ \d+\.\d+ (.*)$", ci.run(job, {"/work": work}), re.MULTILINE)
    assert set(said) == {"shared", "process", "done"}


def test_the_seccomp_profile_is_docker_s_and_what_is_needed() -> None:
    assert json.loads((RECIPES / "seccomp.json").read_text()) == docker_s_profile(*CALLS)
