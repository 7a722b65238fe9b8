"""Everything a user can ask of a build or a run, as frozen data shared by the CLI, the API and later faces."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct, field

from builder.errors import UsageError
from builder.image import pulling
from builder.sandbox.spec import Resources

# What --context-mode may be.
CONTEXT_MODES = AS_IS, GIT = "as-is", "git"
# What a build may be granted with --allow: BuildKit's names.
NETWORK_HOST, SECURITY_INSECURE = "network.host", "security.insecure"


# What may stand behind a --volume.
_MODES = ("ro", "rw")


class Volume(Struct, frozen=True):
    """A directory or file of this machine in a container, or in the steps of a build."""

    source: str
    target: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read SRC:DST[:ro], as --volume takes it. Raises UsageError."""
        source, target, mode = (*text.split(":"), "", "", "")[:3]
        if text.count(":") not in (1, 2) or not (source and target) or (text.count(":") == 2 and mode not in _MODES):
            raise UsageError(f"--volume {text!r} is not SRC:DST[:ro]")
        if "/" not in source and source not in (".", ".."):
            raise UsageError(
                f"--volume: {source!r} would be a named volume, which are not supported",
                hint=f"a directory is ./{source}",
            )
        if not target.startswith("/"):
            raise UsageError(f"--volume: {target!r} must be an absolute path")
        return cls(source, target, mode == "ro")


class BuildRequest(Struct, frozen=True):
    """One build.

    `context` is a directory; `file` the Buildfile (None: looked for in it; `-`: standard input), or `inline` is its
    text. `outputs` are as --output takes them, and `load` and `push` are one to the store and one to registries.
    `network` is default, host or none. `platform` as `linux/amd64,linux/arm64`, empty for this machine's.
    `no_cache_filter` and `no_cache_step` are stages and steps that run again; `pull` is one of image/pulling.
    `sign_key` is a file: what is pushed is signed with the key in it.
    `attest`, `provenance` and `sbom` say what is told of the image, as --attest, --provenance and --sbom do.
    `annotations` are as --annotation takes them. `squash`: layers are merged, those above the stage it names; empty:
    above the base image; None: none are.
    `argument_files` are those that some of the build_args were read from.
    `contexts` are named contexts as --build-context takes their values; `secrets` and `ssh` the values of --secret
    and --ssh; `allow` the entitlements granted; `resources` what each step may use. `retry` and `step_timeout` are
    what RUN's --retry and --timeout say where it has none. `keep_failed` is how many failed steps are kept.
    `on_fail_export` are PATH:DEST, `step_export` STEP:PATH:DEST: what is copied out of a RUN that fails, and out of
    steps that succeed. `add_hosts` and the lists of `dns` as --add-host, --dns, --dns-search and --dns-option take
    their values. `context_mode` is as-is or git: which modes the files of contexts count with. `paranoid`: no digest
    that is remembered is trusted. `lock_file` is the lock, where it is not beside the Buildfile; `no_lock` leaves locks
    alone, `locked` takes nothing that the lock does not say. `cache_from` and `cache_to` are caches that other machines
    share, as the options take them.
    `base` stands in place of the first FROM's image; `env`, `unset_env`, `unset_labels`, `omit_history` as in
    graph/changes. `volumes` and `devices` (SRC[:DST]) are shown to every RUN; `security` as --security-opt takes it,
    `cap_drop` are capabilities taken from it, with `no_hosts` its /etc/hosts is the image's. `ignore_file` has the
    ignore rules of the main context, `manifest` is an index the image is added to.
    """

    context: str = "."
    file: str | None = None
    inline: str | None = None
    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    argument_files: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    attest: tuple[str, ...] = ()
    provenance: str | None = None
    sbom: str | None = None
    outputs: tuple[str, ...] = ()
    load: bool = False
    push: bool = False
    sign_key: str | None = None
    squash: str | None = None
    iidfile: str | None = None
    metadata_file: str | None = None
    annotations: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    no_cache_step: tuple[str, ...] = ()
    pull: str = pulling.MISSING
    network: str = "default"
    add_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    platform: str = ""
    contexts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    context_mode: str = AS_IS
    paranoid: bool = False
    lock_file: str | None = None
    locked: bool = False
    no_lock: bool = False
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    retry: str | None = None
    step_timeout: str | None = None
    keep_failed: int = 3
    on_fail_export: tuple[str, ...] = ()
    step_export: tuple[str, ...] = ()
    parallelism: int = 4
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    resources: Resources = Resources()
    base: str = ""
    env: tuple[tuple[str, str], ...] = ()
    unset_env: tuple[str, ...] = ()
    unset_labels: tuple[str, ...] = ()
    omit_history: bool = False
    volumes: tuple[Volume, ...] = ()
    devices: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_hosts: bool = False
    ignore_file: str | None = None
    manifest: str | None = None


class RunRequest(Struct, frozen=True):
    """One container. None or empty fields leave what the image says.

    `command` are the words after the image; `platform` says which of several; `entrypoint` "" takes the image's away.
    `env` are pairs. `security` as --security-opt takes it. `add_hosts` and the lists of `dns` as in BuildRequest.
    `cidfile` is written the ID.
    """

    image: str
    command: tuple[str, ...] = ()
    platform: str = ""
    entrypoint: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    workdir: str | None = None
    volumes: tuple[Volume, ...] = ()
    network: str = "default"
    add_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hostname: str | None = None
    name: str | None = None
    read_only: bool = False
    remove: bool = False
    interactive: bool = False
    terminal: bool = False
    resources: Resources = Resources()
    security: tuple[str, ...] = ()
    detach: bool = False
    cidfile: str | None = None


class RegistryOptions(Struct, frozen=True):
    """How registries are spoken to, as --insecure-registry, --registry-mirror and --authfile take their values.

    `offline`: neither they nor any other server.
    `verify_keys` are files as --verify-key takes them: one of the keys must have signed each image that is taken.
    `creds` are name and password for every registry; without `tls_verify` none need prove who it is. `cert_dir` has
    certificates for all, as certs.d has them for one.
    """

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    authfile: str | None = None
    offline: bool = False
    verify_keys: tuple[str, ...] = ()
    creds: tuple[str, str] | None = None
    tls_verify: bool = True
    cert_dir: str | None = None


class ExecRequest(Struct, frozen=True):
    """A command in a container that runs. None or empty fields leave what the container has. `env` are pairs."""

    container: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    workdir: str | None = None
    interactive: bool = False
    terminal: bool = False
    detach: bool = False


class ShellRequest(Struct, frozen=True):
    """A shell in a step that failed: `step` is its ID, its build's, or empty for the newest.

    `before`: in the state before the step. `command` is run in place of the shell, `script` by it. `secrets` and `ssh`
    as in a build; `env` are pairs.
    """

    step: str = ""
    before: bool = False
    command: tuple[str, ...] = ()
    script: str | None = None
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


class CacheShellRequest(Struct, frozen=True):
    """A shell in a cache mount, called by its id or the beginning of its name, at `target`.

    Its root is that of `image`; empty: made of programs of this machine. `target` empty: where a step had it.
    `command` is run in place of the shell, `script` by it; `env` are pairs. `seconds` is how long to wait for who
    has the cache mount.
    """

    cache: str
    image: str = ""
    target: str = ""
    command: tuple[str, ...] = ()
    script: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    seconds: float = 30
