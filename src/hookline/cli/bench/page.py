"""The report as one page that needs nothing else: figures, and charts over time."""

import json
from html import escape
from importlib.resources import files
from typing import Any

from msgspec.structs import astuple

from hookline.cli.bench.figures import BenchLog, Figures, percentile
from hookline.cli.bench.view import buckets, remarks

_VENDOR = files("hookline.dashboard").joinpath("assets", "vendor")
_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #3b82f6; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr + tr { border-top: 1px solid var(--line); }
.bar { display: inline-block; height: .8em; background: var(--bar); } .chart { margin: 1.5rem 0; }
.bad { font-weight: bold; } figcaption, footer { opacity: .75; } .u-legend { font-size: .85rem; }
"""
_SCRIPT = """
const read = JSON.parse(document.getElementById("series").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const ink = dark ? "#ddd" : "#333", grid = dark ? "#444" : "#ddd";
const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
const colours = ["#3b82f6", "#f59e0b", "#ef4444"];
for (const chart of read.charts) {
  const at = document.getElementById(chart.id);
  new uPlot({
    width: Math.min(at.clientWidth, 960), height: 240,
    scales: { x: { time: false } },
    axes: [{ ...axis, label: "seconds" }, { ...axis, label: chart.unit, size: 70 }],
    series: [{ label: "s" }, ...chart.names.map((label, n) => ({ label, stroke: colours[n], width: 2 }))],
  }, [read.seconds, ...chart.values], at);
}
"""


def page(figures: Figures, seen: BenchLog, began_at: float, command: str, version: str) -> str:
    """HTML.

    Args:
        figures: the result.
        seen: of which the charts are made.
        began_at: the first second of the charts.
        command: that was run.
        version: of this program.
    """
    spreads = "".join(
        _row(name, *(f"{value:,.1f}" for value in astuple(found))) for name, found in figures.spreads().items()
    )
    verdict = f"lost {figures.lost} · duplicates {figures.duplicates} · early {figures.early}"
    series = json.dumps(_series(seen, began_at)).replace("<", "\\u003c")
    told = "".join(f"<p>{escape(line)}</p>" for line in remarks(figures))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hookline benchmark</title><style>{_vendor("uplot-1.6.32.min.css")}{_STYLE}</style></head><body>
<h1>Hookline benchmark</h1>
<p><strong>{figures.jobs:,} jobs</strong> in {figures.seconds:,.1f} s:
<strong>{figures.jobs_per_s:,.1f} a second</strong> arrived; {figures.rate:,.1f} were to be created.</p>
<p class="{"" if figures.is_as_promised else "bad"}">{verdict}</p>{told}
<table><tr><th>milliseconds</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>{spreads}</table>
<figure class="chart"><figcaption>Jobs a second</figcaption><div id="rates"></div></figure>
<figure class="chart"><figcaption>Lag, ms, in each second</figcaption><div id="lags"></div></figure>
<figure class="chart"><figcaption>Lag of all jobs, ms</figcaption><table>{_bars(seen)}</table></figure>
<footer><p>{escape(command)}</p><p>hookline {escape(version)}. Durations count from when a create was to leave, so a
service that stands still is late for all that should have come meanwhile.</p></footer>
<script type="application/json" id="series">{series}</script>
<script>{_vendor("uplot-1.6.32.min.js")}</script><script>{_SCRIPT}</script></body></html>
"""


def _vendor(name: str) -> str:
    return _VENDOR.joinpath(name).read_text()


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _bars(seen: BenchLog) -> str:
    found = buckets(seen.lag_s)
    most = max((count for _, count in found), default=1)
    return "".join(
        f'<tr><td>≤ {bound:,.0f}</td><td style="text-align:left"><span class="bar" '
        f'style="width:{count / most * 24:.2f}rem"></span></td><td>{count / len(seen.lag_s):.1%}</td></tr>'
        for bound, count in found
    )


def _series(seen: BenchLog, began_at: float) -> dict[str, Any]:
    """By whole second: how many were created and arrived, and how late."""
    last = int(max([*seen.wanted.values(), *seen.first.values(), began_at]) - began_at)
    created, arrived = [0] * (last + 1), [0] * (last + 1)
    lags: list[list[float]] = [[] for _ in range(last + 1)]
    for at in seen.wanted.values():
        created[_second(at - began_at, last)] += 1
    for at in seen.first.values():
        arrived[_second(at - began_at, last)] += 1
    for at, lag in zip(seen.lag_at, seen.lag_s, strict=True):
        lags[_second(at - began_at, last)].append(lag * 1_000)
    for found in lags:
        found.sort()
    shares = [[percentile(found, share) if found else None for found in lags] for share in (0.5, 0.99, 1)]
    whole = max(1, last)  # the last second is cut short
    rates = [created[:whole], arrived[:whole]]
    return {
        "seconds": list(range(whole)),
        "charts": [
            {"id": "rates", "unit": "jobs/s", "names": ["created", "arrived"], "values": rates},
            {"id": "lags", "unit": "ms", "names": ["p50", "p99", "max"], "values": [one[:whole] for one in shares]},
        ],
    }


def _second(since_s: float, last: int) -> int:
    return min(max(0, int(since_s)), last)
