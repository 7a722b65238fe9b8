"""Trees of git repositories, by the program `git` in an environment of its own: no configuration, no questions.

A reference is resolved by `ls-remote`, as cheap as one answer of the server; a commit is fetched alone where the
server allows that. Refs are read as BuildKit reads them: a branch wins over a tag, an annotated tag is its commit.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, CanceledError, HostError, NotFoundError, RegistryError
from builder.graph.remote import is_commit, redacted
from builder.graph.vertex import GitTree
from builder.linux.files import date_tree, remove_tree
from builder.linux.ids import find_program
from builder.linux.paths import open_beneath

# What a user's git needs to reach a server: proxies, certificates, an SSH agent and the keys in the home directory.
_PASSED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SUDO_UID",  # whose repositories root may read
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_ALONE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS": "/bin/false",
    # A key that is not there is an error; a host seen for the first time is taken, a changed one is not.
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
    # file and ext would read this machine and run its programs for a submodule that names them.
    "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
    "GIT_TEMPLATE_DIR": "",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_SETTINGS = (
    "init.defaultBranch=master",
    "advice.detachedHead=false",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "gc.auto=0",
    "maintenance.auto=false",
)
# What servers and transports say that cannot give a single commit, or no shallow history.
_UNABLE = re.compile(r"shallow|--depth|not our ref|unadvertised object|no such remote ref|couldn't find remote ref")
_MISSING = re.compile(r"not found|does not exist|does not appear to be a git repository", re.IGNORECASE)
_HASH_AND_NAME = re.compile(r"([0-9a-f]{40}(?:[0-9a-f]{24})?)\t(\S+)")


class Resolved(Struct, frozen=True):
    """A git reference now: the commit, and the full name of the ref that gave it (empty for a bare commit).

    `earlier`: that was some time ago, and the ref may have moved since.
    """

    commit: str
    ref: str = ""
    earlier: bool = False


class Git:
    """Runs git. `cancel` may be called from any thread. With `offline` it talks to nobody."""

    def __init__(self, *, offline: bool = False) -> None:
        self._offline = offline
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._canceled = False

    def cancel(self) -> None:
        """Stop what runs."""
        with self._lock:
            self._canceled = True
            for process in self._running:
                _kill(process)

    def resolve(self, tree: GitTree) -> Resolved:
        """What the reference of `tree` names now; its checksum is checked.

        Raises NotFoundError for a ref that is not there, BadInputError for another commit than the checksum's.
        """
        if is_commit(tree.ref):
            check(tree, tree.ref)
            return Resolved(tree.ref)
        wanted = tree.ref or "HEAD"
        patterns = [wanted] if not tree.ref else [wanted, f"{wanted}^{{}}"]
        listed = self._remote(tree.remote, "ls-remote", "--symref", "--", tree.remote, *patterns)
        refs = {name: commit for commit, name in _HASH_AND_NAME.findall(listed)}
        if not tree.ref:
            default = re.search(r"^ref: (\S+)\tHEAD$", listed, re.MULTILINE)
            names = [default[1] if default else "HEAD"]
            refs.setdefault(names[0], refs.get("HEAD", ""))
        else:
            bare = wanted.removeprefix("refs/")
            branch, tag = wanted.removeprefix("refs/heads/"), wanted.removeprefix("refs/tags/")
            names = [f"refs/{bare}", f"refs/heads/{branch}", f"refs/tags/{tag}"]
        name = next((n for n in names if refs.get(n)), None)
        if name is None:
            raise NotFoundError(
                f"{redacted(tree.remote)} has no ref {wanted!r}", hint="name a branch, a tag or a whole commit"
            )
        peeled = refs.get(f"{name}^{{}}", "")
        check(tree, refs[name], *([peeled] if peeled else []))
        return Resolved(peeled or refs[name], name)

    def check_out(self, tree: GitTree, found: Resolved, directory: str) -> str:
        """Put the files of `tree`, resolved to `found`, below the empty `directory`; gives the path of their root."""
        self._fetch(tree, found, directory)
        time = self._run(directory, "show", "--no-patch", "--format=%ct", found.commit).strip()
        self._run(directory, "checkout", "--quiet", "--force", "--detach", found.commit)
        if tree.submodules:
            self._submodules(tree, directory)
        if tree.keep_git_dir:
            _tidy(f"{directory}/.git")
        else:
            _drop_git_directories(directory)
        root = _confined(directory, tree)
        date_tree(root, int(time))  # git keeps no times, and the moment of a fetch says nothing
        return root

    def head_time(self, directory: str) -> int:
        """When the commit was made that is checked out at `directory`, in seconds. Raises RegistryError."""
        return int(self._run(directory, "rev-list", "--max-count=1", "--timestamp", "HEAD").split()[0])

    # --- steps ---------------------------------------------------------------------------------

    def _fetch(self, tree: GitTree, found: Resolved, directory: str) -> None:
        shape = ["--object-format=sha256"] if len(found.commit) == 64 else []
        self._run(directory, "init", "--quiet", *shape)
        self._run(directory, "remote", "add", "origin", tree.remote)
        alone, shallow = ("--no-tags",), ("--no-tags", "--depth=1")
        named = f"+{found.ref}:{_local(found.ref)}" if found.ref and found.ref != "HEAD" else found.commit
        # A branch that has moved since must not show where it is now, in a .git that is kept.
        moved = found.earlier and found.ref.startswith("refs/heads/")
        trouble: RegistryError | None = None
        for options, refspec in (
            *([(shallow, f"+{found.commit}:{_local(found.ref)}")] if moved else []),
            (shallow, named),
            (shallow, found.commit),
            (alone, named),
            (("--tags",), "+refs/heads/*:refs/remotes/origin/*"),
        ):
            # A branch may be fetched though HEAD names it: nothing is checked out yet.
            fetch = ("fetch", "--quiet", "--update-head-ok", *options, "origin", refspec)
            try:
                self._remote(tree.remote, *fetch, directory=directory)
            except _Unable as error:
                trouble = error
                continue
            if self._has(directory, found.commit):
                return
        if trouble is not None:
            raise RegistryError(f"{redacted(tree.remote)}: {trouble.message}")
        raise NotFoundError(
            f"{redacted(tree.remote)} no longer has the commit {found.commit}", hint="has its branch been rewritten?"
        )

    def _has(self, directory: str, commit: str) -> bool:
        try:
            self._run(directory, "cat-file", "-e", f"{commit}^{{commit}}")
        except RegistryError:
            return False
        return True

    def _submodules(self, tree: GitTree, directory: str) -> None:
        if not Path(f"{directory}/.gitmodules").exists():
            return
        update = ("submodule", "--quiet", "update", "--init", "--recursive")
        try:
            self._remote(tree.remote, *update, "--depth=1", directory=directory)
        except _Unable:
            self._remote(tree.remote, *update, directory=directory)

    # --- the program ---------------------------------------------------------------------------

    def _remote(self, remote: str, *arguments: str, directory: str = "/") -> str:
        """Run a command that talks to `remote`; its failures are the server's."""
        if self._offline:
            raise NotFoundError(f"{redacted(remote)} is not asked under --offline, and the store does not have it")
        try:
            return self._run(directory, *arguments)
        except RegistryError as error:
            said = error.message.replace(remote, redacted(remote))
            if _UNABLE.search(said):
                raise _Unable(said) from None
            kind = NotFoundError if _MISSING.search(said) else RegistryError
            raise kind(f"{redacted(remote)}: {said}", hint="is the name right, and may you read it?") from None

    def _run(self, directory: str, *arguments: str) -> str:
        """What git prints. Raises RegistryError with git's own words."""
        program = find_program("git")
        if program is None:
            raise HostError("git is not installed, and this build needs it", hint="run as root: apt-get install git")
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        with self._started([program, *settings, *arguments], directory) as process:
            out, err = process.communicate()
        if self._canceled:
            raise CanceledError("canceled")
        if process.returncode:
            raise RegistryError(_words(err) or f"git {arguments[0]} failed with status {process.returncode}")
        return out.decode(errors="surrogateescape")

    @contextmanager
    def _started(self, command: Sequence[str], directory: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {name: value for name in _PASSED if (value := os.environ.get(name))}
        environment |= {k: v for k, v in os.environ.items() if k.lower() in _PROXIES}
        with self._lock:
            if self._canceled:
                raise CanceledError("canceled")
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment | _ALONE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                umask=0o022,
                start_new_session=True,  # so that its helpers can be killed with it
            )
            self._running.add(process)
        try:
            with process:
                try:
                    yield process
                except BaseException:
                    _kill(process)
                    raise
        finally:
            with self._lock:
                self._running.discard(process)


class _Unable(RegistryError):
    """The server cannot do it this way; another may go."""


def tree_digest(tree: GitTree, found: Resolved) -> Digest:
    """What stands for a resolved tree in keys. A kept .git also tells of the ref and the place it came from."""
    kept = f" {found.ref} {redacted(tree.remote)}" if tree.keep_git_dir else ""
    return Digest.of(f"git {found.commit}{kept}".encode(errors="surrogateescape"))


def check(tree: GitTree, *commits: str) -> None:
    """Raise BadInputError unless one of `commits` is what the checksum of `tree` asks for."""
    if not any(commit.startswith(tree.checksum) for commit in commits):
        raise BadInputError(
            f"{redacted(tree.remote)} gives commit {' or '.join(commits)} for {tree.ref or 'its default branch'}, "
            f"where the checksum {tree.checksum} is asked for"
        )


def _local(ref: str) -> str:
    """The name a fetched ref gets here: its own where that is a branch or a tag."""
    return ref if ref.startswith(("refs/heads/", "refs/tags/")) else f"refs/fetched/{ref.removeprefix('refs/')}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _words(err: bytes) -> str:
    """The lines of git's complaint that say something, as one."""
    lines = [line.strip() for line in err.decode(errors="backslashreplace").splitlines()]
    told = [line.partition(": ")[2] for line in lines if line.startswith(("fatal: ", "error: ", "remote: "))]
    return "; ".join(dict.fromkeys(told or [line for line in lines if line]))


def _tidy(git: str) -> None:
    """Take out of a kept .git what tells of the fetching only: credentials in URLs, also of submodules, and logs."""
    for name in ("FETCH_HEAD", "logs"):
        remove_tree(f"{git}/{name}")
    for config in Path(git).rglob("config"):
        if config.is_file():
            config.write_text(redacted(config.read_text(errors="surrogateescape")), errors="surrogateescape")


def _drop_git_directories(directory: str) -> None:
    """Remove every .git: git lets none be part of a tree, so these are its own and its submodules'."""
    for path, directories, files in os.walk(directory):
        if ".git" in directories or ".git" in files:
            remove_tree(os.path.join(path, ".git"))
            directories[:] = [name for name in directories if name != ".git"]


def _confined(directory: str, tree: GitTree) -> str:
    """The host path of the subdirectory of a checked-out tree; no link leads out of it."""
    top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_beneath(top, tree.subdir.strip("/"), os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        shown = f"{redacted(tree.remote)} has no directory {tree.subdir!r}"
        raise NotFoundError(shown, hint=os.strerror(error.errno or 0)) from error
    finally:
        os.close(top)
    try:
        return os.readlink(f"/proc/self/fd/{found}")
    finally:
        os.close(found)
