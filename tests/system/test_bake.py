"""`pybuild bake`: targets built together, and what one makes of another's steps."""

from __future__ import annotations

import json
import subprocess

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


def test_targets_are_asked_instead_of_built(kitchen: Pybuild) -> None:
    kitchen.file("Buildfile", "FROM base AS one\nRUN true\n")
    kitchen.file("tool/Tool.Buildfile", "from base\nRUN true\n")
    kitchen.file(
        "docker-bake.hcl",
        'target "app" {\n description = "of \\u001b[2J us"\n call = "targets"\n}\n'
        'target "tool" {\n context = "tool"\n dockerfile = "Tool.Buildfile"\n}\n',
    )
    asked = kitchen.try_("bake", "--check", "app", "tool")
    assert asked.returncode == 1
    assert asked.stdout.startswith("app\nof  us\n\n")
    assert "ConsistentInstructionCasing" in asked.stdout
    assert kitchen("bake", "app").endswith("TARGET        DESCRIPTION\none (default)\n")
    found = json.loads(kitchen.try_("bake", "--call", "check,format=json", "tool").stdout)
    assert found["target"]["tool"]["build"]["context"] == "tool"
    assert found["target"]["tool"]["check"]["warnings"][0]["ruleName"] == "ConsistentInstructionCasing"
    kitchen.file("docker-bake.hcl", 'target "app" { call = "eat" }\n')
    assert "--call eat: 'eat' is not known" in kitchen.try_("bake", "app").stderr
