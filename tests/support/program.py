"""`Pybuild`: the real program as a user runs it, on one store and in one directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

PROGRAM = Path(sys.executable).parent / "pybuild"


@dataclass
class Pybuild:
    root: Path
    work: Path
    prefix: tuple[str, ...] = (str(PROGRAM),)
    env: dict[str, str] = field(default_factory=dict)

    def on(self, root: Path) -> Self:
        """The same on another store."""
        return replace(self, root=root)

    def copied(self, root: Path) -> Self:
        """The same on a copy of the store, as `cp -a` makes it."""
        subprocess.run(["cp", "-a", self.root, root], check=True)
        return self.on(root)

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, "--root", str(self.root), *arguments]

    def try_(self, *arguments: str, input: bytes | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it; whatever it does, it must not show a traceback nor call itself broken."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.work,
            env={**os.environ, "NO_COLOR": "1", **self.env, **env},
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=600,
            check=False,
        )
        result = subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        assert "Traceback" not in result.stderr, result.stderr
        assert "internal error" not in result.stderr, result.stderr
        return result

    def __call__(self, *arguments: str, input: bytes | None = None, **env: str) -> str:
        """Run it; it must succeed. Gives its standard output."""
        done = self.try_(*arguments, input=input, **env)
        assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.work,
            env={**os.environ, **self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    # --- what most tests need ------------------------------------------------------------------

    def file(self, name: str, content: str | bytes, mode: int = 0o644) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def base(self, name: str = "base") -> None:
        """A base image of busybox with all its applets."""
        from tests.support.rootfs import busybox_rootfs

        self("import", "-", name, input=busybox_rootfs())

    def build(self, buildfile: str, *arguments: str, **env: str) -> Built:
        """Build the text `buildfile` with the work directory as context."""
        self.file("Buildfile", buildfile)
        done = self.try_("build", "-f", "Buildfile", *arguments, ".", **env)
        return Built(done.returncode, done.stdout, done.stderr)

    def shell(self, image: str, script: str, *options: str) -> str:
        """What a shell script prints in a container of `image`."""
        return self("run", "--rm", *options, "--entrypoint", "", image, "sh", "-c", script)


@dataclass(frozen=True)
class Built:
    """How a build ended."""

    status: int
    out: str
    err: str

    def ok(self) -> Built:
        assert self.status == 0, self.err
        return self

    @property
    def ran(self) -> list[str]:
        """The steps that ran, without their numbers."""
        return [line.split("] ", 1)[1] for number, line in self._steps() if f"{number} DONE" in self.err]

    @property
    def cached(self) -> list[str]:
        return [line.split("] ", 1)[1] for number, line in self._steps() if f"\n{number} CACHED" in self.err]

    def _steps(self) -> list[tuple[str, str]]:
        heads = [line.split(" ", 1) for line in self.err.splitlines() if line.startswith("#") and " [" in line]
        # A step that others have interrupted has its head more than once.
        return list(dict.fromkeys((number, rest) for number, rest in heads if rest.startswith("[") and "] " in rest))
