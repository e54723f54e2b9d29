"""How flags and repeatable options look, the same on every command."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False)]
# What may begin with a hyphen, as ids may, and - for stdin.
AnyText = Annotated[str, Parameter(allow_leading_hyphen=True)]
File = Annotated[Path, Parameter(allow_leading_hyphen=True)]
Texts = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]
