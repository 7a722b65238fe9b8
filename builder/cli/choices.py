"""Options that are one of a few words, and what is said of a word that is none of them."""

from __future__ import annotations

from typing import Any

import click


class Choice(click.Choice[str]):
    """Its error names the word that was probably meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """As click's, and the nearest word."""
        # lazy: only an error needs it
        import difflib

        close = difflib.get_close_matches(str(value), self.choices, 1, 0.5)
        said = super().get_invalid_choice_message(value, ctx)
        return f"{said} Did you mean {close[0]!r}?" if close else said
