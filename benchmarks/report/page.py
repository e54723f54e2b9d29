"""Puts what was measured between the marks of the page. Pure."""

from marked_page import filled
from report import advice, claims, costs
from report.figures import Measured
from report.sections import WRITTEN, section

from hookline.cli.plan.calibration import Calibration
from hookline.cli.plan.prices import PriceTable


def blocks(measured: Measured, known: Calibration, prices: PriceTable) -> dict[str, list[str]]:
    """The lines that come between the marks of each name."""
    all_known = advice.Known(measured, known, prices)
    found = {"claims": claims.section(measured), "cost": costs.section(known, prices)}
    found |= {name: section(name, measured.get(name)) for name in WRITTEN}
    return found | {name: advice.section(name, all_known) for name in advice.ADVICE}


def render(page: str, measured: Measured, known: Calibration, prices: PriceTable) -> str:
    """The page with all its blocks as they come of what was measured."""
    return filled(page, {f"measured: {name}": lines for name, lines in blocks(measured, known, prices).items()})
