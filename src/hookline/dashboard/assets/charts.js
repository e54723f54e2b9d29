"use strict";
// Draws what the overview's stream of samples brings, with uPlot: the last minutes, newest to the right.

(() => {
  const MOST = 600;
  const rows = [];
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const whole = (value) => value == null ? "–" : value >= 10 ? Math.round(value).toLocaleString("en") : +value.toFixed(1);
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en", { hourCycle: "h23" });
  const ms = (value) => value == null ? "–" : `${whole(value)} ms`;

  // [name, place in a sample, colour]
  const kinds = {
    throughput: { show: whole, lines: [["succeeded", 1, "good"], ["failed", 2, "bad"]] },
    lag: { show: ms, lines: [["p50", 6, "waits"], ["p99", 7, "odd"]] },
    slots: { show: whole, lines: [["in use", 3, "waits"], ["there are", 4, "soft"]] },
    backlog: { show: whole, lines: [["not finished", 5, "runs"]] },
  };

  const dataOf = (kind) => [rows.map((row) => row[0]), ...kind.lines.map(([, at]) => rows.map((row) => row[at]))];

  const made = (place) => {
    const kind = kinds[place.dataset.chart];
    const axis = { stroke: token("soft"), grid: { stroke: token("line"), width: 1 }, ticks: { show: false } };
    const options = {
      width: place.clientWidth, height: place.clientHeight - 30, padding: [8, 12, 0, 0], cursor: { points: { size: 6 } },
      axes: [
        { ...axis, grid: { show: false }, space: 80, size: 28, values: (_, values) => values.map(clock) },
        { ...axis, size: 56, values: (_, values) => values.map(kind.show) },
      ],
      scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
      series: [{ value: "{HH}:{mm}:{ss}" }, ...kind.lines.map(([label, , colour]) => ({
        label, stroke: token(colour), width: 2, spanGaps: false, points: { show: rows.length < 2 },
        fill: colour === "soft" ? undefined : `${token(colour)}1f`, value: (_, value) => kind.show(value),
      }))],
    };
    return [place, kind, new uPlot(options, dataOf(kind), place)];
  };

  document.addEventListener("DOMContentLoaded", () => {
    const live = document.getElementById("live");
    const places = [...document.querySelectorAll("[data-chart]")];
    let charts = [];
    const draw = () => {
      charts.forEach(([, , chart]) => chart.destroy());
      charts = places.map(made);
    };
    live?.addEventListener("sample", (event) => {
      const newest = rows.length ? rows[rows.length - 1][0] : 0;
      rows.push(...event.detail.filter((row) => row[0] > newest));
      rows.splice(0, rows.length - MOST);
      charts.length && rows.length > 2 ? charts.forEach(([, kind, chart]) => chart.setData(dataOf(kind))) : draw();
    });
    new ResizeObserver(() => charts.forEach(([place, , chart]) =>
      chart.setSize({ width: place.clientWidth, height: place.clientHeight - 30 }))).observe(document.body);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  });
})();
