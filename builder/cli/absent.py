"""Flags of other builders that pybuild has not: why, and what to do. docs/cli.md says the same of those of `build`."""

from __future__ import annotations

from collections.abc import Mapping

_NAMESPACES = ("every step has namespaces of its own", "--network host is the one that can be shared")
_IDS = ("IDs are mapped as /etc/subuid and /etc/subgid say", "pybuild doctor shows how")
_SCANNERS = ("packages are read from the image, by no other program", "--sbom, or pybuild sbom IMAGE")
_WINDOWS = ("it is for Windows", "leave it away")
_RUNTIMES = ("no other program runs the steps", "leave it away")

# flag → why it is not here, and what to do
_Reasons = Mapping[str, tuple[str, str]]
_BUILD: _Reasons = {
    "--builder": ("there is no daemon, and so no choice of one", "leave it away; --root chooses a store"),
    "--policy": ("there is no Rego here", "--verify-key and --locked say what may be taken"),
    "--all-platforms": ("base images are not asked what they are for", "name the platforms: --platform A,B"),
    "--cache-ttl": ("cached steps have no age that counts", "pybuild cache prune --filter until=24h before"),
    "--cap-add": ("steps get no more than Docker's capabilities", "RUN --security=insecure, with --allow"),
    "--cgroupns": _NAMESPACES,
    "--cpp-flag": ("Buildfiles are not preprocessed", "run cpp before, and give -f - its output"),
    "--cw": ("images for trusted execution environments are not made", "use buildah for those"),
    "--decryption-key": ("encrypted images are not read", "decrypt them before, with skopeo copy"),
    "--group-add": ("a step has the groups that its USER has", "add the user to the group in the Buildfile"),
    "--hooks-dir": _RUNTIMES,
    "--ipc": _NAMESPACES,
    "--layer-label": ("steps in between are no images", "leave it away"),
    "--os-feature": _WINDOWS,
    "--os-version": _WINDOWS,
    "--pid": _NAMESPACES,
    "--runtime": _RUNTIMES,
    "--runtime-flag": _RUNTIMES,
    "--sbom-image-output": _SCANNERS,
    "--sbom-image-purl-output": _SCANNERS,
    "--sbom-merge-strategy": _SCANNERS,
    "--sbom-output": _SCANNERS,
    "--sbom-purl-output": _SCANNERS,
    "--sbom-scanner-command": _SCANNERS,
    "--sbom-scanner-image": _SCANNERS,
    "--sign-by": ("there is no GPG here", "--sign-key signs as cosign does"),
    "--stdin": ("steps read nothing, so that they can be cached", "RUN command <<EOF, or --mount=type=secret"),
    "--unsetannotation": ("annotations of a base image are never taken over", "leave it away"),
    "--userns": _IDS,
    "--userns-gid-map": _IDS,
    "--userns-gid-map-group": _IDS,
    "--userns-uid-map": _IDS,
    "--userns-uid-map-user": _IDS,
    "--uts": _NAMESPACES,
}
_PORTS = ("no port of this machine is led into a container", "--network host shares this machine's")
_RUN: _Reasons = {
    "--cap-add": ("containers get no more than Docker's capabilities", "leave it away"),
    "--gpus": ("no runtime brings drivers into containers", "--volume shows files of this machine"),
    "--ipc": _NAMESPACES,
    "--link": ("containers have no network between them", "--network host shares this machine's"),
    "--mount": ("there is one way to show files of this machine", "--volume SRC:DST[:ro]"),
    "--pid": _NAMESPACES,
    "--privileged": ("containers are always isolated", "--security-opt seccomp=unconfined takes the filter away"),
    "--publish": _PORTS,
    "-p": _PORTS,
    "--restart": ("there is no daemon that could start it again", "use a unit of systemd"),
    "--tmpfs": ("what is to be gone goes with the container", "--rm; or /dev/shm, with --shm-size"),
    "--userns": _IDS,
    "--uts": _NAMESPACES,
}
# command → its flags
ABSENT: Mapping[str, _Reasons] = {"build": _BUILD, "run": _RUN}
