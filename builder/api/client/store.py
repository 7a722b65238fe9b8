"""`Store`: where images, containers and the cache are kept, as programs use it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builder.api.client.place import Place
from builder.api.session import Session
from builder.request import RegistryOptions

if TYPE_CHECKING:
    from builder.api.cache import Usage
    from builder.api.client.container import Container
    from builder.api.client.image import Image
    from builder.api.prune import Pruned


class Store(Place):
    """The store in a directory, made when it is missing. It may be used from any thread, by several at once.

    `root` is the directory; None: PYBUILD_ROOT, or the default one, as the program has it. `insecure_registries`
    (HOST[:PORT], or `*`), `registry_mirrors`, `authfile`, `verify_keys` (files of keys, one of which must have signed
    what is taken) and `offline` say how registries are spoken to, as the program's options. What is set in pybuild's
    configuration files for registries and collection counts as well.

    Nothing is open between two calls. As a context manager it keeps one helper process for all that happens in the
    block, where else each call that needs one starts it, which takes about 0.1 s.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        insecure_registries: Sequence[str] = (),
        registry_mirrors: Sequence[str] = (),
        authfile: str | os.PathLike[str] | None = None,
        offline: bool = False,
        verify_keys: Sequence[str] = (),
    ) -> None:
        options = RegistryOptions(
            insecure=tuple(insecure_registries),
            mirrors=tuple(registry_mirrors),
            authfile=None if authfile is None else os.fspath(authfile),
            offline=offline,
            verify_keys=tuple(verify_keys),
        )
        super().__init__(None if root is None else Path(root), options)

    # --- images ------------------------------------------------------------------------------------

    def images(self) -> list[Image]:
        """All images, the newest first; one for several platforms is one. Raises StoreError."""
        # lazy: as all of a Store, loaded when it is asked for
        from builder.api.client.image import all_images

        return self.do(lambda session: all_images(session, self))

    def image(self, name: str, *, platform: str = "") -> Image:
        """The image called `name`: a reference, an ID, or a clear beginning of one.

        Of one for several platforms, with `platform` (`linux/arm64`) the image for that. Raises NotFoundError, and
        UsageError for what means several.
        """
        # lazy: as above
        from builder.api.client.image import described

        return self.do(lambda session: described(session, self, name, platform))

    def pull(self, name: str, *, platform: str = "") -> Image:
        """Fetch the image `name` from its registry, as it is there now; `platform` is this machine's when empty.

        Raises NotFoundError, RegistryError, BadInputError for what must not be trusted, StoreError for want of room.
        """
        # lazy: as above
        from builder.api.client.image import described
        from builder.api.pull import pull
        from builder.image.reference import Reference

        def work(session: Session) -> Image:
            fetched = pull(session, Reference.parse(name), platform)
            return described(session, self, str(fetched.image.manifest.digest), "")

        return self.do(work)

    def load(self, path: str | os.PathLike[str], *, platform: str = "") -> list[Image]:
        """Take in the images of an archive (OCI's, Docker's) or of an OCI layout directory; with `platform` only those.

        Raises NotFoundError, and BadInputError for what is no archive, or hostile.
        """
        # lazy: as above
        from builder.api.client.image import described
        from builder.api.images import load
        from builder.store.catalog import digest_of

        def work(session: Session) -> list[Image]:
            found = load(session, os.fspath(path), platform)
            digests = dict.fromkeys(str(digest_of(each)) for each in found)  # one may be there by several names
            return [described(session, self, digest, "") for digest in digests]

        return self.do(work)

    def import_rootfs(self, path: str | os.PathLike[str], name: str) -> Image:
        """Make an image of the tar of a root file system, compressed or not, and call it `name`.

        Raises NotFoundError, BadInputError for what is no tar, or hostile.
        """
        # lazy: as above
        from builder.api.client.image import described
        from builder.api.images import import_rootfs

        return self.do(
            lambda session: described(session, self, str(import_rootfs(session, os.fspath(path), name).config), "")
        )

    def import_from_host(self, programs: Sequence[str], name: str) -> Image:
        """Make an image of programs of this machine, with the libraries they need, and call it `name`.

        Raises NotFoundError for programs that are not there.
        """
        # lazy: as above
        from builder.api.client.image import described
        from builder.api.images import import_from_host

        return self.do(
            lambda session: described(session, self, str(import_from_host(session, programs, name).config), "")
        )

    # --- containers, cache -------------------------------------------------------------------------

    def containers(self, *, all: bool = False) -> list[Container]:
        """The containers that run, with `all` those that have ended, too; the newest first."""
        # lazy: as above
        from builder.api.client.container import all_containers

        return [each for each in self.do(lambda session: all_containers(session, self)) if all or each.running]

    def usage(self) -> Usage:
        """What the store takes on disk, by kind and by layer, in bytes."""
        # lazy: as above
        from builder.api.cache import disk_usage

        return self.do(disk_usage)

    def prune(
        self,
        filters: Sequence[str] = (),
        *,
        keep_bytes: int | None = None,
        all: bool = False,
        mounts: bool = False,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove cached steps that no image needs, with `all` the others, too; with `mounts` cache mounts as well.

        `filters` are as `pybuild cache prune --filter` takes them (`unused-for=24h`); with `keep_bytes` as few as leave
        that much. With `dry_run` nothing is removed. Returns the entries, and the bytes that were freed. What is in use
        stays. Raises UsageError for a filter that is not known.
        """
        # lazy: as above
        from builder.api.prune import prune

        return self.do(
            lambda session: prune(
                session, filters, keep_bytes=keep_bytes, everything=all, mounts=mounts, dry_run=dry_run
            )
        )
