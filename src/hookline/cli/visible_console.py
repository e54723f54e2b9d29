"""The console of rich, which does not obey what a text holds."""

from typing import Any

from rich.console import Console
from rich.text import Text

from hookline.visible import visible


class VisibleConsole(Console):
    """Obeys no escape sequence of a text: rich asks here for each one that it prints, also in tables."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text for a line or a cell."""
        return super().render_str(visible(text), **options)
