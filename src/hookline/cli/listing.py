"""Prints lists; every command that has one takes the same options."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from hookline.cli.output import print_json, show_whole, usage_error
from hookline.cli.service import Service
from hookline.cli.sheet import Sheet


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ListOutput:
    """How to print a list.

    Attributes:
        output: table, cut to the terminal; wide, with all columns whole; tsv, with tabs; ids; or json.
        columns: Which columns, separated by commas, such as id,state,url.
    """

    output: Annotated[Literal["table", "wide", "tsv", "ids", "json"], Parameter(name=["--output", "-o"])] = "table"
    columns: str | None = None

    def print(self, found: list[Any], sheet: Sheet, service: Service) -> None:
        """The list, as JSON or as the table ``sheet``."""
        if service.json or self.output == "json":
            print_json({"data": found})
            return
        if self.columns is not None:
            try:
                sheet.pick([name.strip() for name in self.columns.split(",")])
            except ValueError as error:
                raise usage_error(f"--columns: {error}.") from error
        if self.output == "tsv":
            sys.stdout.write(sheet.tsv())
        else:
            sheet.form = self.output
            show_whole(sheet)


DEFAULT_LISTING = ListOutput()
