"""What we write opens in skopeo, umoci and podman with the same tree and config; what they write opens in ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.linux.files import remove_tree
from tests.support.podman import Podman
from tests.support.program import Pybuild
from tests.support.tree import Node, tree

# Everything that is hard to carry: hard links within and across layers, deletions of files and of whole
# directories, a directory made anew over one of below, links dangling, absolute and to directories, xattrs,
# long and strange names, sparse and empty files, devices, fifos, odd modes and owners.
EVERYTHING = r"""FROM base
RUN mkdir -p /d/kept /d/gone /d/again && echo 1 > /d/kept/1 && echo 2 > /d/gone/2 && echo 3 > /d/again/3
RUN echo linked > /h1 && ln /h1 /h2 && mkdir /hd && ln /h1 /hd/h3
RUN rm -r /d/gone /d/kept/1 && rm -r /d/again && mkdir /d/again && echo 4 > /d/again/4
RUN ln /h2 /h4 && rm /hd/h3
RUN ln -s nowhere /dangling && ln -s /d /absolute && ln -s ../d/kept /hd/relative
RUN mkdir /long && touch "/long/$(printf 'n%.0s' $(seq 200))" && touch '/long/with space' "/long/$(printf '\303\274')"
RUN mkdir -p "/long/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 120))" && touch $(echo /long/a*/b*)/end
RUN truncate -s 100000 /sparse && : > /empty && mkfifo /fifo && mknod /null c 1 3 && chmod 4755 /h1 && chmod 1777 /d
RUN touch /owned && chown 12:34 /owned && mkdir -m 700 /private && chown -R 1000:1000 /private
COPY xattr.py /x
RUN touch -d '2001-02-03 04:05:06' /old && touch -h -d '2001-02-03 04:05:06' /dangling
USER 12:34
ENV A=1 B="two words"
LABEL org.example.x="y"
WORKDIR /work
EXPOSE 80 53/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --retries=2 CMD true
ENTRYPOINT ["sh", "-c"]
CMD ["id -u"]
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with an image `app` of everything."""
    directory = tmp_path_factory.mktemp("everything")
    (directory / "work").mkdir()
    pybuild = Pybuild(directory / "store", directory / "work")
    pybuild.base()
    os.setxattr(pybuild.file("xattr.py", "x"), "user.kept", b"value")
    pybuild.build(EVERYTHING, "-t", "app").ok()
    return pybuild


@pytest.fixture(scope="module")
def local(everything: Pybuild) -> dict[str, Node]:
    """The tree of `app`, as GNU tar unpacks it."""
    return tree_of(everything, "app", everything.work.parent / "tree")


@pytest.fixture
def podman() -> Iterator[Podman]:
    with Podman() as podman:
        yield podman


def config(pybuild: Pybuild, image: str = "app") -> dict[str, Any]:
    return dict(json.loads(pybuild("inspect", image))[0]["Config"])


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_tree_is_as_the_steps_made_it(local: dict[str, Node]) -> None:
    assert sorted(p for p in local if p.startswith("d/")) == ["d/again", "d/again/4", "d/kept"]
    assert sorted(p for p in local if p.startswith("h")) == ["h1", "h2", "h4", "hd", "hd/relative", "home"]
    # Without its index, which cannot be shared between layers, overlayfs breaks links with what lies below.
    assert local["h1"].twins == ()
    assert local["h2"].twins == ("h4",)
    assert local["h1"].mode == 0o4755
    assert local["d"].mode == 0o1777
    assert (local["dangling"].content, local["absolute"].content) == ("nowhere", "/d")
    assert local["hd/relative"].content == "../d/kept"
    assert (local["owned"].uid, local["owned"].gid) == (12, 34)
    assert (local["private"].mode, local["private"].uid) == (0o700, 1000)
    assert local["null"][0] + local["null"].content == "c1:3"
    assert local["fifo"].kind == "p"
    assert local["old"].mtime == local["dangling"].mtime == 981173106
    assert [len(p) for p in local if p.endswith("/end")] == [len("long//") + 240 + len("/end")]
    assert "long/n" + "n" * 199 in local
    assert "long/with space" in local
    assert "long/ü" in local


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_podman_sees_the_same(
    everything: Pybuild, local: dict[str, Node], kind: str, podman: Podman, tmp_path: Path
) -> None:
    everything("save", "--format", kind, "-o", str(tmp_path / "app.tar"), "app")
    podman("load", "-i", str(tmp_path / "app.tar"))
    with podman.mounted("app") as path:
        assert tree(path) == local
    seen = json.loads(podman("image", "inspect", "app"))[0]
    ours = config(everything)
    for name in ("User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal"):
        assert seen["Config"][name] == ours[name], name
    assert seen["Id"] == json.loads(everything("inspect", "app"))[0]["Id"].removeprefix("sha256:")
    assert len(seen["RootFS"]["Layers"]) == 13
    assert [h.get("empty_layer", False) for h in seen["History"]].count(False) == 13


def test_umoci_sees_the_same(everything: Pybuild, local: dict[str, Node], tmp_path: Path) -> None:
    """umoci 0.4 knows gzip only."""
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    everything("build", "-q", "-t", "app", "-o", f"type=oci,tar=false,dest={layout},compression=gzip", ".")
    index = json.loads((layout / "index.json").read_text())
    name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:{name}", bundle], check=True, capture_output=True)
    assert tree(bundle / "rootfs") == local
    process = json.loads((bundle / "config.json").read_text())["process"]
    assert process["args"] == ["sh", "-c", "id -u"]
    assert process["cwd"] == "/work"
    assert "B=two words" in process["env"]


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_skopeo_sees_the_same(everything: Pybuild, kind: str, tmp_path: Path) -> None:
    archive = tmp_path / "app.tar"
    everything("save", "--format", kind, "-o", str(archive), "app")
    ours = json.loads(everything("inspect", "app"))[0]
    seen = json.loads(skopeo("inspect", "--raw", "--config", f"{kind}-archive:{archive}"))
    assert seen["config"]["User"] == "12:34"
    assert seen["config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000, "Retries": 2}
    assert seen["rootfs"]["diff_ids"] == ours["RootFS"]["Layers"]
    assert len(seen["history"]) == len(json.loads(everything("history", "--format", "json", "app")))


def test_skopeo_reads_the_store_in_place(everything: Pybuild, tmp_path: Path) -> None:
    source = f"oci:{everything.root}:app:latest"
    skopeo("copy", source, f"oci-archive:{tmp_path / 'app.tar'}:copied:1")
    other = Pybuild(tmp_path / "other", everything.work)
    assert other("load", "-i", str(tmp_path / "app.tar")) == "Loaded image: copied:1\n"
    assert config(other, "copied:1") == config(everything)
    assert tree_of(other, "copied:1", tmp_path / "there") == tree_of(everything, "app", tmp_path / "here")


def tree_of(pybuild: Pybuild, image: str, directory: Path) -> dict[str, Node]:
    """The tree of an image, by a build that adds nothing and GNU tar."""
    archive = f"{directory}.tar"
    pybuild.build(f"FROM {image}\n", "-o", f"type=tar,dest={archive}").ok()
    directory.mkdir()
    unpack = ("tar", "--extract", "--same-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*")
    subprocess.run([*unpack, "-f", archive, "-C", directory], check=True)
    found = tree(directory)
    remove_tree(str(directory))
    return found


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "docker-dir", "oci"])
def test_what_skopeo_and_podman_write_opens_in_ours(
    everything: Pybuild, local: dict[str, Node], form: str, podman: Podman, tmp_path: Path
) -> None:
    """Their archives load; an OCI directory serves as base."""
    everything("save", "-o", str(tmp_path / "app.tar"), "app")
    podman("load", "-i", str(tmp_path / "app.tar"))
    other = Pybuild(tmp_path / "other", tmp_path)
    if form == "oci":
        skopeo("copy", f"oci:{everything.root}:app:latest", f"oci:{tmp_path}/layout:there")
        base = "oci-layout:layout:there"
    elif form == "docker-dir":
        skopeo("copy", f"docker-archive:{tmp_path}/app.tar", f"oci-archive:{tmp_path}/again.tar:named:1")
        base = other("load", "-i", "again.tar").removeprefix("Loaded image: ").strip()
    else:
        podman("save", "--format", form, "-o", str(tmp_path / "saved.tar"), "app")
        base = other("load", "-i", "saved.tar").removeprefix("Loaded image: ").strip()
    assert tree_of(other, base, tmp_path / "out") == local
    assert other.build(f"FROM {base}\n", "-t", "child").ok()
    assert config(other, "child")["User"] == "12:34"


def test_a_tar_of_everything_imports_as_it_was(everything: Pybuild, local: dict[str, Node], tmp_path: Path) -> None:
    everything("build", "-q", "-o", f"type=tar,dest={tmp_path}/tree.tar", ".")
    other = Pybuild(tmp_path / "store", tmp_path)
    other("import", "tree.tar", "again")
    assert tree_of(other, "again", tmp_path / "out") == local


def test_an_exported_image_needs_no_name_and_is_not_kept(everything: Pybuild, tmp_path: Path) -> None:
    before = everything("images", "-q")
    everything("build", "-q", "--no-cache", "-o", f"type=docker,dest={tmp_path}/app.tar", ".")
    assert everything("images", "-q") == before
    other = Pybuild(tmp_path / "store", tmp_path)
    assert other("load", "-i", "app.tar").startswith("Loaded image ID: sha256:")


def test_the_same_build_writes_the_same_bytes(everything: Pybuild, tmp_path: Path) -> None:
    for kind in ("oci", "docker", "tar"):
        for number in (1, 2):
            everything("build", "-q", "-t", "app", "-o", f"type={kind},dest={tmp_path}/{number}", ".")
        assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes(), kind
