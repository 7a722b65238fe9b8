"""What options of a build mean, where that needs no more than a look at them and at the build context."""

from __future__ import annotations

import os

from msgspec.structs import replace

from builder.errors import UsageError, suggestion
from builder.graph.attempts import Attempts, FlagValueError, attempts
from builder.graph.changes import Changes
from builder.graph.filesystem import NETWORKS
from builder.graph.lower import LowerOptions
from builder.graph.scope import EPOCH_ARG
from builder.image.platform import Platform, host
from builder.request import CONTEXT_MODES, GIT, NETWORK_HOST, SECURITY_INSECURE, BuildRequest
from builder.sandbox.spec import Names
from builder.sources.contexts import Opened, parse_named
from builder.sources.fixed import Reading


def reading_of(request: BuildRequest) -> Reading:
    """How files of contexts are read. Raises UsageError."""
    if request.context_mode not in CONTEXT_MODES:
        raise UsageError(
            f"--context-mode={request.context_mode} is not known", hint=f"use {' or '.join(CONTEXT_MODES)}"
        )
    return Reading(request.context_mode == GIT, request.paranoid)


def attempts_of(request: BuildRequest) -> Attempts:
    """How often and how long a RUN is tried that does not say so itself. Raises UsageError."""
    found, option = Attempts(), "--retry"
    try:
        found = attempts(request.retry, None)
        option = "--step-timeout"
        return attempts(None, request.step_timeout, found)
    except FlagValueError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from error


def names_of(request: BuildRequest) -> Names:
    """How its steps find names. Raises UsageError."""
    if not (request.add_hosts or request.dns or request.dns_search or request.dns_options):
        return Names()
    # lazy: few builds ask for it
    from builder.sandbox.network.names import parse_names

    return parse_names(request.add_hosts, request.dns, request.dns_search, request.dns_options)


def entitlements(request: BuildRequest) -> tuple[str, ...]:
    """The entitlements granted. Asking for the host's network for the whole build grants it (as buildx does)."""
    known = (NETWORK_HOST, SECURITY_INSECURE)
    for name in request.allow:
        if name not in known:
            raise UsageError(f"--allow {name} is not known", hint=suggestion(name, known))
    return (*request.allow, *([NETWORK_HOST] if request.network == "host" else []))


def changes_of(request: BuildRequest) -> Changes:
    """What is changed of what the Buildfile says. Raises UsageError, NotFoundError."""
    wanted = Changes(request.base, request.env, request.unset_env, request.unset_labels, request.omit_history)
    if not (request.volumes or request.devices or request.security or request.cap_drop or request.no_hosts):
        return wanted
    # lazy: few builds show anything of this machine to their steps
    from builder.api.isolation import confined, host_paths

    return replace(wanted, host_paths=host_paths(request), confined=confined(request))


def lower_options(request: BuildRequest, platform: Platform) -> tuple[LowerOptions, dict[str, str]]:
    """What lowering is told, and the directories of named contexts."""
    if request.network not in NETWORKS:
        raise UsageError(f"--network={request.network} is not known", hint=f"use {', '.join(NETWORKS)}")
    contexts, directories = parse_named(request.contexts)
    options = LowerOptions(
        platform=platform,
        build_platform=host(),
        target=request.target,
        build_args=request.build_args,
        labels=request.labels,
        network=request.network,
        attempts=attempts_of(request),
        hosts=names_of(request).hosts,
        contexts=contexts,
        explicit=bool(request.platform),
        changes=changes_of(request),
    )
    return options, directories


def timed(options: LowerOptions, request: BuildRequest, opened: Opened) -> LowerOptions:
    """`options` with the time of the context where SOURCE_DATE_EPOCH asks for that. Raises UsageError."""
    if options.build_args.get(EPOCH_ARG) != "context":
        return options
    # lazy: few builds ask for it
    from builder.sources.epoch import epoch_of

    epoch = epoch_of(opened.root, opened.ignore, own=os.path.isdir(request.context))
    return replace(options, build_args={**options.build_args, EPOCH_ARG: str(epoch)})
