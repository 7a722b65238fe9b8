"""`pybuild bake`: targets built together, and what one makes of another's steps."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.program import Built, Pybuild

BAKE = """\
variable "TAG" { default = "latest" }

group "default" { targets = ["app", "tool"] }

target "_common" {
  args = { WHAT = "bread" }
}

target "oven" {
  dockerfile-inline = <<END
FROM base
RUN echo hot > /oven; sleep 0.2
ENV HEAT=250
END
}

target "app" {
  inherits          = ["_common"]
  contexts          = { warm = "target:oven" }
  dockerfile-inline = <<END
FROM warm
ARG WHAT
RUN echo "$WHAT at $HEAT" > /made
CMD cat /made
END
  tags              = ["app:${TAG}"]
}

target "tool" {
  contexts   = { warm = "target:oven" }
  context    = "tool"
  dockerfile = "Tool.Buildfile"
  tags       = ["tool:${TAG}"]
}
"""


@pytest.fixture
def kitchen(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("docker-bake.hcl", BAKE)
    pybuild.file("tool/Tool.Buildfile", "FROM base\nCOPY --from=warm /oven /\nCOPY spoon /\nCMD cat /oven /spoon\n")
    pybuild.file("tool/spoon", "wood\n")
    return pybuild


def bake(pybuild: Pybuild, *words: str, **env: str) -> Built:
    done = pybuild.try_("bake", "--progress", "plain", *words, **env)
    return Built(done.returncode, done.stdout, done.stderr)


def test_targets_stand_on_each_other(kitchen: Pybuild) -> None:
    built = bake(kitchen, "--metadata-file", "made.json").ok()
    assert sorted(built.ran) == [
        "COPY --from=warm /oven /",
        "COPY spoon /",
        'RUN echo "$WHAT at $HEAT" > /made',
        "RUN echo hot > /oven; sleep 0.2",
    ]
    assert "[oven 2/2] RUN" in built.err
    assert "[app 2/2] RUN" in built.err
    assert kitchen("run", "--rm", "app") == "bread at 250\n"
    assert kitchen("run", "--rm", "tool") == "hot\nwood\n"
    names = json.loads(kitchen("images", "--format", "json"))
    assert len(names) == 3, "what is only needed by others is no image of the store"
    made = json.loads((kitchen.work / "made.json").read_text())
    assert set(made) == {"app", "oven", "tool"}
    assert made["tool"]["image.name"] == "docker.io/library/tool:latest"

    again = bake(kitchen, TAG="2").ok()
    assert not again.ran
    assert "app: tagged app:2" in again.err


def test_the_same_step_of_two_targets_runs_once(kitchen: Pybuild) -> None:
    same = "FROM base\nRUN sleep 0.3; echo once > /once\nRUN echo {0} > /{0}\n"
    targets = "\n".join(f'target "{n}" {{ dockerfile-inline = <<END\n{same.format(n)}END\n}}' for n in "abc")
    kitchen.file("docker-bake.hcl", f'group "default" {{ targets = ["a", "b", "c"] }}\n{targets}\n')
    built = bake(kitchen).ok()
    assert built.ran.count("RUN sleep 0.3; echo once > /once") == 1
    assert len(built.ran) == 4


def test_a_target_that_fails_ends_the_others(kitchen: Pybuild) -> None:
    kitchen.file(
        "docker-bake.hcl",
        'group "default" { targets = ["bad", "slow"] }\n'
        'target "bad" { dockerfile-inline = "FROM base\\nRUN sleep 0.2; echo burnt; exit 3\\n" }\n'
        'target "slow" {\n dockerfile-inline = "FROM base\\nRUN sleep 60\\nRUN true\\n"\n tags = ["slow"]\n}\n'
        'target "after" {\n contexts = { b = "target:bad" }\n dockerfile-inline = "FROM b"\n}\n',
    )
    built = bake(kitchen)
    assert built.status == 1
    assert "error: bad: " in built.err
    assert "burnt" in built.err
    assert "#3 CANCELED" in built.err or "CANCELED" in built.err
    assert "slow" not in kitchen("images")
    assert "error: bad: " in bake(kitchen, "after").err


def test_options_for_all_targets(kitchen: Pybuild) -> None:
    kitchen.file("Buildfile", "FROM base\nARG A=1\nRUN echo $A > /a\n")
    kitchen.file("docker-bake.json", '{"target": {"one": {"tags": ["one"]}}}')
    built = bake(kitchen, "one", "--set", "*.output+=type=oci,dest=one.tar", "--set", "one.args.A=7", "--load").ok()
    assert built.ran == ["RUN echo $A > /a"]
    assert (kitchen.work / "one.tar").is_file()
    assert kitchen.shell("one", "cat /a") == "7\n"
    assert bake(kitchen, "one", "--no-cache", "--set", "one.args.A=7").ok().ran == ["RUN echo $A > /a"]
    assert not bake(kitchen, "one", "--no-cache=false", "--set", "one.args.A=7").ok().ran


def test_what_is_shown_instead_of_building(kitchen: Pybuild) -> None:
    shown = json.loads(kitchen("bake", "--print", "--var", "TAG=3", "tool"))
    assert shown == {
        "group": {"default": {"targets": ["tool"]}},
        "target": {
            "oven": {
                "context": ".",
                "dockerfile": "Dockerfile",
                "dockerfile-inline": "FROM base\nRUN echo hot > /oven; sleep 0.2\nENV HEAT=250\n",
                "output": [{"type": "cacheonly"}],
            },
            "tool": {
                "context": "tool",
                "contexts": {"warm": "target:oven"},
                "dockerfile": "Tool.Buildfile",
                "tags": ["tool:3"],
            },
        },
    }
    assert kitchen("bake", "--print", "-f", "-", input=json.dumps(shown).encode()) == kitchen(
        "bake", "--print", "--var", "TAG=3", "tool"
    )
    listed = json.loads(kitchen("bake", "--list", "targets,format=json"))
    assert [row["name"] for row in listed] == ["app", "default", "oven", "tool"]
    assert kitchen("bake", "--list=variables").split("\n")[1].split() == ["TAG", "latest"]
    kitchen.file("tool/Tool.Buildfile", "from base\nRUN true\n")
    checked = kitchen.try_("bake", "--check", "tool", "app")
    assert checked.returncode == 1
    assert "ConsistentInstructionCasing" in checked.stdout
    assert checked.stdout.startswith("app\n")
    assert "TARGET" in kitchen("bake", "--call", "targets", "tool")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ap",), 4, "error: no target is called ap\n  hint: did you mean app?"),
        (("-f", "nothing.hcl"), 4, "error: nothing.hcl does not exist"),
        (("--set", "app.tags"), 2, "the value is missing"),
        (("--list", "cakes"), 2, "'cakes' is not targets or variables"),
        (("--print", "--list", "targets"), 2, "exclude each other"),
        (("--print", "https://example.com/repo.git"), 2, "is read from where you are"),
        (("--var", "TAG"), 2, "is not NAME=VALUE"),
        (("--set", "app.dockerfile-inline=FROM warm\nRUN exit 1", "app"), 1, "error: app: "),
    ],
)
def test_bad_words(kitchen: Pybuild, words: tuple[str, ...], status: int, said: str) -> None:
    done = kitchen.try_("bake", *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr


def test_a_bake_file_reaches_only_what_is_allowed(kitchen: Pybuild, tmp_path: Path) -> None:
    kitchen.file("Buildfile", "FROM scratch\nCOPY Buildfile /\n")
    kitchen.file("docker-bake.hcl", f'target "default" {{ output = ["{tmp_path}/out"] }}\n')
    refused = kitchen.try_("bake")
    assert refused.returncode == 2
    assert f"--allow fs.write={tmp_path}/out" in refused.stderr
    kitchen("bake", "--allow", f"fs.write={tmp_path}")
    assert (tmp_path / "out" / "Buildfile").is_file()
    kitchen("bake", "--set", f"default.output={tmp_path}/other")
    (kitchen.work / "link").symlink_to(tmp_path)
    kitchen.file("docker-bake.hcl", 'target "default" { output = ["link/third"] }\n')
    assert kitchen.try_("bake").returncode == 2, "links are followed first"
    kitchen.file("docker-bake.hcl", 'target "default" { network = "host" }\n')
    assert "network.host" in kitchen.try_("bake").stderr


def test_errors_in_a_bake_file_show_the_place(kitchen: Pybuild) -> None:
    kitchen.file("docker-bake.hcl", 'target "app" {\n  tags = ["app:${TAQ}"]\n}\nvariable "TAG" {}\n')
    done = kitchen.try_("bake", "app")
    assert done.returncode == 3
    assert done.stderr == (
        "error: there is no variable TAQ\n"
        "  --> docker-bake.hcl:2:18\n"
        '  2 |   tags = ["app:${TAQ}"]\n'
        "    |                  ^^^\n"
        "  hint: did you mean TAG?\n"
    )


def test_without_a_bake_file(pybuild: Pybuild) -> None:
    done = pybuild.try_("bake")
    assert done.returncode == 4
    assert "there is no bake file here" in done.stderr


def test_being_interrupted_ends_all(kitchen: Pybuild) -> None:
    kitchen.file(
        "docker-bake.hcl",
        'group "default" { targets = ["a", "b"] }\n'
        'target "a" { dockerfile-inline = "FROM base\\nRUN echo ready; sleep 61\\n" }\n'
        'target "b" { dockerfile-inline = "FROM base\\nRUN sleep 62\\n" }\n',
    )
    running = kitchen.start("bake", "--progress", "plain")
    assert running.stderr is not None
    for line in running.stderr:
        if b"ready" in line:
            break
    running.send_signal(2)
    _, rest = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"Traceback" not in rest
    left = subprocess.run(["pgrep", "-f", "sleep 6[12]"], capture_output=True, check=False)
    assert not left.stdout
