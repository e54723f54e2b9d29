"""How flags and repeatable options look, the same on every command."""

from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
Texts = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
