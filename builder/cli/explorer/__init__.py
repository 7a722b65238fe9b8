"""The terminal explorer of images; textual draws it, which is an extra: only cli/explore imports it."""
