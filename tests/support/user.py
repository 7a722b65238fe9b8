"""The program as an ordinary user runs it, also when the tests run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

from tests.support.program import PROGRAM, Pybuild

TOP = Path(__file__).parents[2]
NAME = "pybuild-test"


def ordinary(directory: Path) -> Pybuild:
    """A Pybuild whose commands run as an ordinary user with subordinate IDs, in and below `directory`.

    As root: the user is made when it is missing, and gets a copy of the program it can read.
    """
    work = directory / "work"
    work.mkdir(parents=True)
    if os.geteuid() != 0:
        return Pybuild(directory / "store", work, (str(PROGRAM),), {"HOME": str(directory)})
    user = _account()
    code = directory / "code"
    copy_code(code)
    for path in (directory, work):
        os.chown(path, user.pw_uid, user.pw_gid)
    open_way(directory)
    prefix = (
        "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=-all",
        interpreter(), "-c", "from builder.cli.main import main; main()",
    )  # fmt: skip
    env = {"HOME": str(directory), "PYTHONPATH": f"{code}:{code / 'site'}", "PYTHONDONTWRITEBYTECODE": "1"}
    return Pybuild(directory / "store", work, prefix, env)


def open_way(directory: Path) -> None:
    """Let all users reach `directory`, if they know its name."""
    for parent in directory.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & 0o001 and parent != Path("/"):
            parent.chmod(mode | 0o011)


def copy_code(directory: Path) -> None:
    """Put the program into `directory`, and below `site` what it needs: PYTHONPATH leads there then."""
    for name in ("builder", "grammar"):
        _copy(TOP / name, directory / name)
    _copy(Path(sysconfig.get_path("purelib")), directory / "site", "mypy*", "ruff*", "pip*")


def _copy(source: Path, target: Path, *left_out: str) -> None:
    """A tree of directories of its own, whose files are the same where that can be: there are thousands."""

    def linked(one: str, other: str) -> str:
        try:
            os.link(one, other, follow_symlinks=False)
        except OSError:
            shutil.copy2(one, other)
        return other

    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*left_out), copy_function=linked)


def without_ids(program: Pybuild) -> Pybuild:
    """An ordinary user's program whose subordinate IDs are hidden, by mounts over the files that tell of them."""
    assert os.geteuid() == 0, "needs root: files of /etc are hidden for the test"
    empty = program.work / "empty"
    empty.touch()
    hide = f'mount --bind {empty} /etc/subuid && mount --bind {empty} /etc/subgid && exec "$@"'
    return replace(program, prefix=("unshare", "-m", "sh", "-c", hide, "sh", *program.prefix))


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        subprocess.run(["useradd", "--create-home", NAME], check=True)
    found = pwd.getpwnam(NAME)
    for file, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        if f"{NAME}:" not in Path(file).read_text():
            subprocess.run(["usermod", option, "300000-365535", NAME], check=True)
    return found


def interpreter() -> str:
    """An interpreter of this version that everyone may run: this one may lie in root's home."""
    own = Path(os.path.realpath(sys.executable))
    if all(p.stat().st_mode & 0o001 for p in own.parents):
        return str(own)
    system = "/usr/bin/python3"
    version = subprocess.run(
        [system, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert version == [str(n) for n in sys.version_info[:2]], f"no Python {sys.version_info[:2]} for other users"
    return system
