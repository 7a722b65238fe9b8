"""What the recipes of examples/ci have their CI systems do: the commands, and the walls that they say are around them.

Only what the recipes use is understood; anything else is an error, so that nothing is overlooked that they say. What a
CI system does itself is left out: checkouts, artifacts, caches (`uses:` of GitHub), images that containers are made of.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import yaml

from tests.support.container import ALL_CAPABILITIES, Walls, docker_s_profile

RECIPES = Path(__file__).parents[2] / "examples/ci"


@dataclass(frozen=True)
class Job:
    """Commands that run one after the other, each in a shell of its own, in one container with `walls`.

    `env` is what all see; a command is its text and what it alone sees besides. `volumes` are directories of its own.
    """

    walls: Walls
    env: Mapping[str, str]
    commands: Sequence[tuple[str, Mapping[str, str]]]
    directory: str = "/work"
    volumes: tuple[str, ...] = field(default=())

    @property
    def script(self) -> str:
        """All of it for one shell."""
        lines = (
            shlex.join(
                ["env", *(f"{name}={value}" for name, value in env.items()), "bash", "-eo", "pipefail", "-c", text]
            )
            for text, env in self.commands
        )
        return " &&\n".join(lines)


def github(event: str, known: Mapping[str, str]) -> Job:
    """The job of github.yml for an event, `push` or `pull_request`; `known` is what `${{ }}` may stand for.

    Its machine is a virtual one: no container's walls, and an ordinary user with subordinate IDs.
    """
    workflow = yaml.safe_load((RECIPES / "github.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == "ubuntu-24.04"
    meant = {f"github.event_name == '{event}'": True, "": True}

    def filled(env: Mapping[str, str]) -> dict[str, str]:
        return {name: re.sub(r"\$\{\{ (\S+) \}\}", lambda m: known[m[1]], value) for name, value in env.items()}

    commands = [
        (step["run"], filled(step.get("env", {})))
        for step in job["steps"]
        if "run" in step and meant.get(step.get("if", ""), False)
    ]
    assert not any("${{" in text for text, _ in commands), "what others can write must not become a command"
    machine = Walls(capabilities=ALL_CAPABILITIES, unmasked=True, subordinate_ids=True)
    return Job(machine, filled(workflow["env"]), commands, volumes=("/work", "/home/ci"))


def gitlab(event: str, known: Mapping[str, str]) -> Job:
    """The job of gitlab-ci.yml for an event, with the walls of gitlab-runner.toml; `known` are variables."""
    pipeline = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
    rule = {
        "push": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
        "pull_request": '$CI_PIPELINE_SOURCE == "merge_request_event"',
    }[event]
    (job,) = [one for one in pipeline.values() if isinstance(one, dict) and one.get("rules") == [{"if": rule}]]
    default = pipeline["default"]
    (runner,) = tomllib.loads((RECIPES / "gitlab-runner.toml").read_text())["runners"]
    docker = dict(runner["docker"])
    assert (runner["executor"], docker.pop("privileged")) == ("docker", False)
    volumes = tuple(docker.pop("volumes"))
    walls = _opened([option.replace(":", "=", 1) for option in docker.pop("security_opt")])
    assert not docker, docker
    env = {**known, **{name: Template(value).substitute(known) for name, value in pipeline["variables"].items()}}
    commands = ["\n".join([*default["before_script"], *job["script"]]), "\n".join(default["after_script"])]
    return Job(walls, env, [(text, {}) for text in commands], volumes=("/work", *volumes))


def jenkins(event: str, known: Mapping[str, str]) -> Job:
    """What the Jenkinsfile does for an event. Credentials are `USR` and `PSW` of `known`, which no command sees."""
    text = (RECIPES / "Jenkinsfile").read_text()
    env = {name: value for name, value in known.items() if name not in ("USR", "PSW")}
    top, *stages = re.split(r"\n {8}stage\(", text)
    stages[-1], post = stages[-1].split("\n    post {")
    for name, value in _assigned(top):
        env[name] = Template(value).substitute(env)
    when = {"push": "when { branch 'main' }", "pull_request": "when { changeRequest() }"}
    commands = []
    for part in (*stages, post):
        said = re.findall(r"when \{.*\}", part)
        assert set(said) <= set(when.values())
        if said and said != [when[event]]:
            continue
        secret = re.search(r"(\w+) = credentials\('registry'\)", part)
        own = {f"{secret[1]}_{kind}": known[kind] for kind in ("USR", "PSW")} if secret else {}
        commands += [
            (one or other, own) for one, other in re.findall(r"sh (?:'''(.*?)'''|'([^'\n]+)')", part, re.DOTALL)
        ]
    (arguments,) = re.findall(r"args '(.*)'", top)
    walls, volumes = _docker(shlex.split(arguments))
    return Job(walls, env, commands, volumes=("/work", *volumes))


def _assigned(text: str) -> Iterator[tuple[str, str]]:
    """The variables of an `environment` block."""
    for name, _, value in re.findall(r"^ {8}(\w+) = (['\"])(.*)\2$", text, re.MULTILINE):
        yield name, value


def kubernetes(known: Mapping[str, str]) -> list[Job]:
    """The containers of kubernetes.yaml in their order; `known` is what envsubst fills in."""
    text = (RECIPES / "kubernetes.yaml").read_text()
    (named,) = re.findall(r"envsubst '(.*)' <", text)
    assert named.split() == [f"${name}" for name in known]
    for name, value in known.items():
        text = text.replace(f"${{{name}}}", value)
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    return [_container(pod, one) for one in (*pod["initContainers"], *pod["containers"])]


def _container(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Job:
    said = {**pod["securityContext"], **container["securityContext"]}
    assert said.pop("runAsNonRoot")
    user = said.pop("runAsUser")
    assert said.pop("runAsGroup") == said.pop("fsGroup") == user
    assert said.pop("appArmorProfile") == {"type": "Unconfined"}
    seccomp = said.pop("seccompProfile")
    assert seccomp == {"type": "Localhost", "localhostProfile": "pybuild.json"}
    walls = Walls(
        user=user,
        capabilities=_left(said.pop("capabilities")["drop"]),
        no_new_privileges=not said.pop("allowPrivilegeEscalation"),
        profile=_profile(),
        unmasked=said.pop("procMount") == "Unmasked",
        own_users=not pod["hostUsers"],
        read_only=said.pop("readOnlyRootFilesystem"),
        subordinate_ids=True,
    )
    assert not said, said
    (text,) = container["args"]
    assert container["command"] == ["sh", "-ec"]
    env = {one["name"]: one["value"] for one in container["env"]}
    volumes = tuple(mount["mountPath"] for mount in container["volumeMounts"])
    return Job(walls, env, [(text, {})], container.get("workingDir", "/"), volumes)


def docker_run(line: str) -> Job:
    """What a line `docker run --rm OPTIONS $IMAGE COMMAND` is."""
    before, _, command = line.partition(" $IMAGE ")
    program, *arguments = before.split(" --rm")
    assert program == "docker run"
    options = shlex.split(arguments[0])
    env = dict(value.split("=", 1) for option, value in pairwise(options) if option == "--env")
    walls, volumes = _docker(options)
    return Job(walls, env, [(command, {})], "/", volumes)


def _docker(arguments: Sequence[str]) -> tuple[Walls, tuple[str, ...]]:
    """The walls that options of `docker run` make, and where volumes are."""
    given: dict[str, list[str]] = {"--security-opt": [], "--cap-drop": [], "--volume": [], "--env": []}
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        given[option].append(value)
    walls = _opened(given["--security-opt"])
    if given["--cap-drop"]:
        walls = replace(walls, capabilities=_left(given["--cap-drop"]))
    return walls, tuple(volume.partition(":")[2] for volume in given["--volume"])


def _opened(options: Sequence[str]) -> Walls:
    """The walls that are left by values of docker's `--security-opt`."""
    walls = Walls(profile=docker_s_profile(), subordinate_ids=True)  # those of image/Buildfile
    for option in options:
        match option:
            case "no-new-privileges":
                walls = replace(walls, no_new_privileges=True)
            case "systempaths=unconfined":
                walls = replace(walls, unmasked=True)
            case "seccomp=unconfined":
                walls = replace(walls, profile=None)
            case "seccomp=/etc/pybuild/seccomp.json" | "seccomp=seccomp.json":
                walls = replace(walls, profile=_profile())
            case "apparmor=unconfined":  # the kernels that tests run on have none
                pass
            case _:
                raise AssertionError(f"not understood: {option}")
    return walls


def _left(dropped: Sequence[str]) -> tuple[str, ...]:
    assert dropped == ["ALL"], dropped
    return ()


def _profile() -> dict[str, Any]:
    profile: dict[str, Any] = json.loads((RECIPES / "seccomp.json").read_text())
    return profile
