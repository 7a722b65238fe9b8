"""Images whose files lay traps for the sandbox: links where it mounts, programs that lead out of the image."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import busybox_rootfs


def rootfs(links: dict[str, str]) -> bytes:
    """The tar of busybox with `links` in the place of what it has there."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox_rootfs())) as source,
        tarfile.open(fileobj=out, mode="w") as target,
    ):
        for item in source:
            if item.name.split("/")[0] not in links and item.name not in links:
                target.addfile(item, source.extractfile(item) if item.isreg() else None)
        for name, link in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, link
            target.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"proc": "/tmp"}, "/proc of the image is no directory"),
        ({"proc": "/"}, "/proc of the image is no directory"),
        ({"proc": "loop", "loop": "proc"}, "/proc of the image is no directory"),
        ({"dev": "proc"}, "/dev of the image is no directory"),
        ({"sys": "/proc/sys"}, "/sys of the image is no directory"),
        ({"etc/hosts": "/proc/self/environ"}, "/etc/hosts cannot be a mount target: it is in /proc"),
        ({"etc/hosts": "/proc/1/root/etc/x"}, "/etc/hosts cannot be a mount target: it is in /proc"),
        ({"etc/resolv.conf": "loop", "etc/loop": "resolv.conf"}, "Too many levels of symbolic links"),
    ],
    ids=str,
)
def test_a_link_where_the_sandbox_mounts_is_refused(pybuild: Pybuild, links: dict[str, str], message: str) -> None:
    pybuild("import", "-", "trap", input=rootfs(links))
    built = pybuild.build("FROM trap\nRUN echo ran\n")
    assert built.status == 5, built.err
    assert message in built.err
    ran = pybuild.try_("run", "--rm", "trap", "true")
    assert (ran.returncode, message in ran.stderr) == (125, True), ran.stderr


@pytest.mark.parametrize("up", ["", "/../../../../../../../.."])
def test_a_link_out_of_the_root_stays_in_it(pybuild: Pybuild, tmp_path: Path, up: str) -> None:
    """The file it names is made inside, for the step alone; that of the host is not touched."""
    outside = tmp_path / "outside"
    outside.write_text("the host's")
    pybuild("import", "-", "trap", input=rootfs({"etc/hosts": f"{up}{outside}", "dir": f"{up}{tmp_path}"}))
    script = "cat /etc/hosts | grep -c localhost; echo changed > /etc/hosts; touch /dir/made 2>/dev/null; ls /dir"
    built = pybuild.build(f"FROM trap\nRUN --mount=type=tmpfs,target=/dir/t {script}\n", "-t", "app").ok()
    assert "outside" in built.err
    assert outside.read_text() == "the host's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "store", "work"]


def test_etc_may_be_a_link(pybuild: Pybuild) -> None:
    """The sandbox's files are shown where it leads, for the step alone."""
    pybuild("import", "-", "linked", input=rootfs({"etc": "/tmp"}))
    built = pybuild.build("FROM linked\nRUN echo $(ls /tmp) $(cat /etc/hosts | grep -c localhost)\n", "-t", "app").ok()
    assert " hosts resolv.conf " in built.err
    pybuild.build("FROM app\n", "-o", "type=local,dest=out").ok()
    assert not list((pybuild.work / "out/tmp").iterdir())


TRAPS = (
    "ln -s /proc/self/exe /trap",
    "echo '#!/proc/self/exe' > /trap; chmod 755 /trap",
    "echo '#! /s -x' > /trap; echo '#!/../proc/thread-self/exe' > /s; chmod 755 /trap /s",
)


def test_no_command_leads_to_the_hosts_interpreter(pybuild: Pybuild, as_user: Pybuild) -> None:
    for program in (pybuild, as_user):
        program.base()
        for make in TRAPS:
            built = program.build(f'FROM base\nRUN {make}\nRUN ["/trap"]\n')
            assert "it leads to the program pybuild itself runs in" in built.err
            assert (built.status, "exit code: 126" in built.err) == (1, True)


def test_a_shell_of_an_image_may_lead_to_its_own_programs(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build(
        "FROM base\nRUN printf '#!/bin/sh\\necho fine\\n' > /s; chmod 755 /s; ln -s /s /t\n"
        'RUN ["/t"]\nRUN ["/bin/sh", "-c", "readlink /proc/self/exe"]\n'
    ).ok()
