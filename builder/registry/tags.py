"""The tags of a repository (OCI distribution spec, "Listing Tags"), page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import msgspec

from builder.errors import RegistryError
from builder.readied import readied
from builder.registry.client import Repository

_LARGEST_PAGE = 4 << 20
# Each page names the next: a registry could go on for ever.
_MOST_PAGES = 1000
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


class _Page(msgspec.Struct):
    tags: list[str] | None = None


def tags(repository: Repository) -> Iterator[str]:
    """The tags, in the registry's order. Raises NotFoundError, RegistryError."""
    url = "tags/list"
    for _ in range(_MOST_PAGES):
        with repository.request("GET", url) as response:
            data = response.read(_LARGEST_PAGE + 1)
            following = _NEXT.search(response.headers.get("Link", ""))
            here = response.url
        try:
            page = msgspec.json.decode(data, type=readied(_Page))
        except msgspec.DecodeError as error:
            raise RegistryError(f"{repository.name}: the list of its tags cannot be read") from error
        yield from page.tags or ()
        if following is None:
            return
        url = urljoin(here, following[1])
    raise RegistryError(f"{repository.name}: the list of its tags has no end")
