"""What is kept of a failed step: nothing secret, and all else back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.graph import vertex as v
from builder.image.descriptor import Descriptor, Layer
from builder.image.platform import Platform
from builder.sandbox.spec import BindMount, FileMount, Network, StepSpec, TmpfsMount
from builder.solve.failed import FailedStep, FailedSteps, decoded, described, encoded, reopened
from builder.solve.worker import CacheDirectory, ContextMount, RunTask, StackMount
from builder.sources.secrets import Secrets, SecretSource

LAYER = Layer(Digest.of(b"1"), Digest.of(b"2"), 3, Descriptor("type", Digest.of(b"4"), 5))
OTHER = Layer(Digest.of(b"6"), Digest.of(b"7"), 8, Descriptor("type", Digest.of(b"9"), 10))


def step(secrets: Secrets, env: tuple[tuple[str, str], ...] = (("A", "1\udcff"),)) -> FailedStep:
    run = v.Run(
        parent=v.VertexId(0),
        argv=("/bin/sh", "-c", "x"),
        env=env,
        cwd="/w",
        user="7:8",
        network="none",
        platform=Platform("linux", "amd64"),
        mounts=(v.SecretMount("t", "/run/secrets/t", "TOKEN"), v.SecretMount("absent", "/run/secrets/absent")),
        proxy_env=(("http_proxy", "http://u:hidden@p"),),
        origin=v.Origin("RUN x", "s", 9),
    )
    task = RunTask(
        StepSpec(
            argv=run.argv,
            env=(*env, ("TOKEN", "hidden"), ("http_proxy", "http://u:hidden@p")),
            network=Network.NONE,
            mounts=(FileMount("/etc/hosts", b"\0\xff"),),
            timeout=3,
        ),
        (
            ContextMount("/a", "/context", (), writable=True),
            CacheDirectory("/b", "name", b"about", layers=(OTHER,)),
            StackMount("/c", (OTHER,), "source"),
            FileMount("/run/secrets/t", b"hidden", 0o400),
            TmpfsMount("/t", 5),
        ),
    )
    return described("b0", 4, "Buildfile", run, task, (LAYER,), secrets)


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    (tmp_path / "t").write_bytes(b"hidden")
    return Secrets({"t": SecretSource(str(tmp_path / "t"))})


def test_it_travels_without_any_secret(secrets: Secrets) -> None:
    kept = step(secrets)
    data = encoded(kept)
    assert decoded(data) == kept
    assert b"hidden" not in data
    assert b"aGlkZGVu" not in data, "nor in base64"
    assert kept.id == "b0-4"
    assert dict(kept.spec.env) == {"A": "1\udcff"}


def test_it_opens_again_with_its_secrets(secrets: Secrets) -> None:
    kept = step(secrets)
    spec, mounts, missing = reopened(kept, "/kept", secrets)
    assert dict(spec.env) == {"A": "1\udcff", "TOKEN": "hidden"}
    assert spec.timeout == 0
    assert missing == ()
    assert [mount.target for mount in mounts] == ["/a", "/b", "/c", "/run/secrets/t", "/t"]
    assert mounts[0] == BindMount("/kept/files-0", "/a", read_only=False)
    assert mounts[3] == FileMount("/run/secrets/t", b"hidden", 0o400, read_only=True)


def test_what_is_missing_is_told(secrets: Secrets) -> None:
    spec, mounts, missing = reopened(step(secrets), "/kept", Secrets())
    assert missing == ("--secret id=t",)
    assert "TOKEN" not in dict(spec.env)
    assert [mount.target for mount in mounts] == ["/a", "/b", "/c", "/t"]


def test_what_a_secret_hid_is_there_without_it(secrets: Secrets) -> None:
    kept = step(secrets, env=(("TOKEN", "of the image"),))
    assert dict(kept.spec.env) == {"TOKEN": "of the image"}


def test_all_its_layers_are_told(secrets: Secrets) -> None:
    assert list(step(secrets).stacked()) == [LAYER, OTHER, OTHER]


def test_finding(tmp_path: Path, secrets: Secrets) -> None:
    steps = FailedSteps(tmp_path)
    with pytest.raises(NotFoundError):
        steps.find()
    for name in ("a1-2", "b0-1", "b0-12", "b0-4"):
        (tmp_path / "failed" / name).mkdir(parents=True)
        data = encoded(step(secrets)).replace(b'"b0-4"', f'"{name}"'.encode())
        (tmp_path / "failed" / name / "failed.json").write_bytes(data)
    (tmp_path / "failed" / "c0-1").mkdir()
    (tmp_path / "failed" / "c0-1" / "failed.json").write_bytes(b"{}")
    assert [found.id for found in steps.all()] == ["b0-4", "b0-12", "b0-1", "a1-2"]
    assert steps.find().id == steps.find("last").id == "b0-4"
    assert steps.find("a").id == "a1-2"
    assert steps.find("b0-1").id == "b0-1"
    with pytest.raises(UsageError):
        steps.find("b0")
    with pytest.raises(NotFoundError):
        steps.find("c0")
