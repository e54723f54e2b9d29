"""Draws the pictures of docs/explanation/internet-scale.md from what a run kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plots import Panel, Series, lines

Row = Mapping[str, Any]
Found = Mapping[str, Any]


def draw(found: Found, folder: Path) -> None:
    """All of them."""
    _validation(found["checks"], folder / "validation.svg")
    _steady(found["steady"], folder / "steady.svg")
    _balance(found["balance"], folder / "balance.svg")
    _herds(found["herds"], folder / "herds.svg")
    _loss(found["loss"], folder / "loss.svg")
    _storm(found["storm"], folder / "storm.svg")
    _zone(found["zone"], folder / "zone.svg")


def _validation(checks: Sequence[Row], path: Path) -> None:
    parts = sorted({one["part"] for one in checks})
    series = [
        Series(part, [one["measured"] for one in own], [one["model"] for one in own])
        for part in parts
        if (own := [one for one in checks if one["part"] == part])
    ]
    errors = [
        Series(part, [one["measured"] for one in own], [100 * one["error"] for one in own])
        for part in parts
        if (own := [one for one in checks if one["part"] == part])
    ]
    lines(
        path,
        [
            Panel(series, "measured", "model", "each figure in its unit", log_x=True, log_y=True, points=True),
            Panel(
                errors,
                "measured",
                "error, %",
                log_x=True,
                from_zero=False,
                points=True,
                levels={"+10 %": 10.0, "−10 %": -10.0},
            ),
        ],
    )


def _steady(rows: Sequence[Row], path: Path) -> None:
    loads = sorted({one["per_cluster"] for one in rows})
    rate, p50, p99 = (
        [
            Series(
                name.format(load=load),
                [one["clusters"] for one in rows if one["per_cluster"] == load],
                [one[figure] for one in rows if one["per_cluster"] == load],
            )
            for load in loads
        ]
        for figure, name in (
            ("rate", "{load:,.0f} jobs/s each"),
            ("lag_p50_ms", "{load:,.0f} jobs/s each, p50"),
            ("lag_p99_ms", "{load:,.0f} jobs/s each, p99"),
        )
    )
    lines(
        path,
        [
            Panel(rate, "clusters", "delivered, jobs/s", log_x=True, log_y=True),
            Panel([*p50, *p99], "clusters", "lag, ms", log_x=True),
        ],
    )


def _balance(rows: Sequence[Row], path: Path) -> None:
    most = max(one["clusters"] for one in rows)
    series = [
        Series(
            f"{one['strategy']}, {one['clusters']:,} clusters",
            [100 * (place + 0.5) / len(one["shares"]) for place in range(len(one["shares"]))],
            one["shares"],
        )
        for one in rows
        if one["clusters"] == most
    ]
    lines(
        path,
        Panel(
            series,
            "clusters, from the emptiest to the fullest, %",
            "its share of the ids, of an even one",
            from_zero=False,
            levels={"even": 1.0},
        ),
        height=3.2,
    )


def _herds(rows: Sequence[Row], path: Path) -> None:
    waiting = [
        Series(f"{one['share']:.0%}", range(1, len(one["waiting"]) + 1), one["waiting"])
        for one in rows
        if not one["jitter_s"] and one["share"]
    ]
    jitters = sorted({one["jitter_s"] for one in rows})
    lag = [
        Series(
            f"jitter {jitter:,.0f} s" if jitter else "no jitter",
            [100 * one["share"] for one in own],
            [one["p99_ms"] / 1_000 for one in own],
        )
        for jitter in jitters
        if (own := [one for one in rows if one["jitter_s"] == jitter and one["share"]])
    ]
    lines(
        path,
        [
            Panel(waiting, "second of the minute", "jobs of a cluster that wait", "share due at second 0"),
            Panel(lag, "share due at second 0, %", "lag at p99, s", log_y=True),
        ],
    )


def _loss(rows: Sequence[Row], path: Path) -> None:
    series = [Series(f"one of {one['clusters']:,}", one["seconds"], one["waiting"]) for one in rows]
    lines(
        path,
        Panel(series, "seconds since it was lost", "its jobs that wait", moments={"it is back": rows[0]["outage_s"]}),
        height=3.0,
    )


def _storm(rows: Sequence[Row], path: Path) -> None:
    panels = []
    for is_silent in (False, True):
        series = [
            Series(
                "health and breakers" if one["protected"] else "neither",
                range(len(one["tries"])),
                [max(0.5, count) for count in one["tries"]],
            )
            for one in rows
            if one["is_silent"] == is_silent
        ]
        panels.append(
            Panel(
                series,
                "second",
                "tries at the cluster in a second",
                "machines vanish" if is_silent else "connections are refused",
                log_y=True,
                steps=True,
                moments={"lost": 5.0, "back": 5.0 + rows[0]["outage_s"]},
            )
        )
    lines(path, panels)


def _zone(rows: Sequence[Row], path: Path) -> None:
    series = [
        Series(f"{one['clusters']:,} clusters", range(len(one["p99_by_second"])), _known(one["p99_by_second"]))
        for one in rows
    ]
    lines(path, Panel(series, "second", "lag at p99, ms", log_y=True, moments={"lost": 5.0}), height=3.0)


def _known(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
