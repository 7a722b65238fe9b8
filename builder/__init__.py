"""pybuild: container images from Dockerfile-like recipes, without a daemon.

    image = builder.build("examples/hello", tags="hello")
    done = builder.run(image, ["cat", "/app/built.txt"])

Names are loaded when they are asked for first (PEP 562): the program itself begins with this module.
"""

from builder.version import __version__

# As typing's, which would take long to load: for type checkers alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder import events
    from builder.api.client.builds import build, run
    from builder.api.client.container import Container
    from builder.api.client.image import Image
    from builder.api.client.jobs import Job, start
    from builder.api.client.options import BuildOptions, RunOptions
    from builder.api.client.store import Store
    from builder.errors import (
        BadInputError,
        BuildfileError,
        CanceledError,
        DamagedError,
        HostError,
        NotFoundError,
        PybuildError,
        RegistryError,
        StepFailedError,
        StoreError,
        UsageError,
    )

__all__ = [
    "BadInputError", "BuildOptions", "BuildfileError", "CanceledError", "Container", "DamagedError", "HostError",
    "Image", "Job", "NotFoundError", "PybuildError", "RegistryError", "RunOptions", "StepFailedError", "Store",
    "StoreError", "UsageError", "__version__", "build", "events", "run", "start",
]  # fmt: skip

# The module of each name that is no error.
_CLIENT = "builder.api.client"
_WHERE = {
    "build": f"{_CLIENT}.builds",
    "run": f"{_CLIENT}.builds",
    "start": f"{_CLIENT}.jobs",
    "Job": f"{_CLIENT}.jobs",
    "Image": f"{_CLIENT}.image",
    "Store": f"{_CLIENT}.store",
    "Container": f"{_CLIENT}.container",
    "BuildOptions": f"{_CLIENT}.options",
    "RunOptions": f"{_CLIENT}.options",
}


def __getattr__(name: str) -> object:
    if name == "events":
        # lazy: as all here
        import builder.events

        return builder.events
    if name not in __all__:
        raise AttributeError(f"module 'builder' has no attribute {name!r}")
    # lazy: the program has no use for it
    from importlib import import_module

    found: object = getattr(import_module(_WHERE.get(name, "builder.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
