"""Limits each process of a step has for itself: resource limits, and how soon the kernel kills it for memory."""

from __future__ import annotations

import resource  # at once: inside a step's root there is nothing to import from

from builder.errors import HostError
from builder.sandbox.spec import Resources, Ulimit

_SCORE = "/proc/self/oom_score_adj"


def apply(resources: Resources) -> None:
    """Limit this process, and all it will become. Raises HostError for what the kernel does not allow."""
    for ulimit in resources.ulimits:
        _limit(ulimit)
    try:
        with open(_SCORE, "rb", buffering=0) as file:
            inherited = int(file.read())
        wanted = max(inherited, 0) if resources.oom_score_adj is None else resources.oom_score_adj
        if wanted != inherited:
            with open(_SCORE, "wb", buffering=0) as file:
                file.write(str(wanted).encode())
    except OSError as error:
        raise HostError(f"the kernel refuses --oom-score-adj {resources.oom_score_adj}: {error.strerror}") from error


def _limit(ulimit: Ulimit) -> None:
    try:
        resource.setrlimit(getattr(resource, f"RLIMIT_{ulimit.name.upper()}"), (ulimit.soft, ulimit.hard))
    except (OSError, ValueError) as error:
        raise HostError(
            f"the kernel refuses --ulimit {ulimit.name}={ulimit.soft}:{ulimit.hard}: {error}",
            hint="an ordinary user cannot go above the hard limit (ulimit -H -a)",
        ) from error
