// SPDX-License-Identifier: Apache-2.0
// Charts of the numbers that stand in the page as JSON, drawn by uPlot in the stylesheet's colours.
"use strict";

(() => {
  const HEIGHT = 260;
  const LABEL_PX = 84;
  const PAGE = 10;
  const drawn = new Set();

  // A colour of the stylesheet is one of two, by light or dark; only an element knows which.
  const probe = document.createElement("span");
  probe.hidden = true;
  const colour = (name, alpha = 1) => {
    probe.style.color = `var(${name})`;
    const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g);
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  };

  // Half a case would be a strange mark on an axis.
  const isCounted = (chart) => chart.series?.every((one) => one.values.every(Number.isInteger));
  const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 7 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);

  const axes = (chart, count, label) => {
    const line = { stroke: colour("--quiet"), font: "13px system-ui, sans-serif", ticks: { stroke: colour("--line") } };
    const every = (u) => Math.max(1, Math.ceil(count / Math.max(1, Math.floor(u.bbox.width / devicePixelRatio / LABEL_PX))));
    const splits = (u) => Array.from({ length: Math.ceil(count / every(u)) }, (_, number) => number * every(u));
    return [
      { ...line, grid: { show: false }, splits, values: (_, places) => places.map((place) => label(place).replace("@", "\n@")) },
      { ...line, grid: { stroke: colour("--line") }, label: chart.unit, labelFont: line.font, size: 64, ...(isCounted(chart) && { incrs: WHOLE }) },
    ];
  };

  const bars = (size) => uPlot.paths.bars({ size: [size, 90] });

  // Bars on top of each other are drawn from the highest sum to the lowest.
  const stacked = (chart) => {
    const sums = chart.labels.map(() => 0);
    const layers = chart.series.map((one) => ({ ...one, heights: one.values.map((value, at) => (sums[at] += value)) }));
    return {
      xs: chart.labels.map((_, at) => at),
      ys: layers.reverse().map((one) => one.heights),
      series: layers.map((one) => ({
        label: one.name, stroke: colour(one.colour), fill: colour(one.colour), width: 0,
        paths: bars(0.8), points: { show: false }, value: (_, __, ___, at) => (at === null ? "" : one.values[at]),
      })),
    };
  };

  // Bars beside each other stand at places of their own, with nothing at the places of the others.
  const grouped = (chart) => {
    const { labels, series } = chart;
    const step = 1 / (series.length + 1);
    const xs = labels.flatMap((_, at) => series.map((__, of) => at + (of - (series.length - 1) / 2) * step));
    return {
      xs,
      ys: series.map((one, of) => xs.map((_, place) => (place % series.length === of ? one.values[Math.floor(place / series.length)] : null))),
      series: series.map((one) => ({
        label: one.name, stroke: colour(one.colour), fill: colour(one.colour), width: 0,
        paths: bars(0.9), points: { show: false },
        value: (_, __, ___, at) => (at === null ? "" : Number(one.values[Math.floor(at / series.length)].toPrecision(3))),
      })),
    };
  };

  const markLine = (u, x, name) => {
    const { ctx } = u;
    const { top, height } = u.bbox;
    const at = u.valToPos(x, "x", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("--text");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(at, top);
    ctx.lineTo(at, top + height);
    ctx.stroke();
    ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.fillText(name, at + 4 * devicePixelRatio, top + 12 * devicePixelRatio);
    ctx.restore();
  };

  const categories = (chart) => {
    const { xs, ys, series } = (chart.kind === "stack" ? stacked : grouped)(chart);
    const last = chart.labels.length - 1;
    const label = (place) => chart.labels[Math.round(place)] ?? "";
    return {
      data: [xs, ...ys],
      options: {
        scales: { x: { time: false, range: [-0.5, last + 0.5] }, y: { range: (_, __, most) => [0, most > 0 ? most * (chart.marks ? 1.25 : 1.1) : 1] } },
        axes: axes(chart, chart.labels.length, label),
        series: [{ label: chart.of, value: (_, place) => (place === null ? "" : label(place)) }, ...series],
        cursor: { drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [(u) => (chart.marks ?? []).forEach((mark) => markLine(u, mark.index - 0.5, mark.name))] },
      },
    };
  };

  const slices = (chart) => {
    const shares = chart.shares.map((share) => 100 * share);
    const place = (_, at) => (at === null ? "" : String(at));
    return {
      data: [shares.map((_, at) => at), shares],
      options: {
        scales: { x: { time: false, range: [0, Math.max(1, shares.length - 1)] }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
        axes: axes(chart, shares.length, String),
        series: [
          { label: "slice", value: place },
          { label: "lesion", stroke: colour("--accent"), fill: colour("--accent", 0.25), width: 2, points: { show: false }, value: (_, share) => (share === null ? "" : `${share.toFixed(1)} %`) },
        ],
        cursor: { drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [(u) => { if (chart.shown !== undefined) markLine(u, chart.shown, String(chart.shown)); }] },
      },
    };
  };

  // ── Lesion share by slice leads the viewer, and follows it ─────────────────────────────────────

  const lead = (one, index) => {
    const last = one.chart.shares.length - 1;
    const detail = { index: Math.min(last, Math.max(0, Math.round(index))) };
    follow(one, detail.index);
    document.dispatchEvent(new CustomEvent("hilum:slice", { detail }));
  };

  const follow = (one, index) => {
    const share = one.chart.shares[index];
    if (share === undefined || one.chart.shown === index) return;
    one.chart.shown = index;
    one.plot.setAttribute("aria-valuenow", index);
    one.plot.setAttribute("aria-valuetext", `Slice ${index}, ${(100 * share).toFixed(1)} % lesion`);
    one.u.redraw(false);
  };

  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -PAGE, PageUp: PAGE, Home: -Infinity, End: Infinity };

  const steer = (one) => {
    const at = (event) => {
      const over = one.u.over.getBoundingClientRect();
      lead(one, one.u.posToVal(event.clientX - over.left, "x"));
    };
    one.plot.addEventListener("pointerdown", (event) => {
      if (!one.u.over.contains(event.target)) return;
      one.u.over.setPointerCapture(event.pointerId);
      at(event);
    });
    one.plot.addEventListener("pointermove", (event) => {
      if (one.u.over.hasPointerCapture(event.pointerId)) at(event);
    });
    one.plot.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      lead(one, (one.chart.shown ?? 0) + steps[event.key]);
    });
  };

  document.addEventListener("hilum:slice-shown", ({ detail }) => {
    drawn.forEach((one) => { if (one.chart.kind === "slices") follow(one, detail.index); });
  });

  // ── Drawing ────────────────────────────────────────────────────────────────────────────────────

  const paint = (one) => {
    one.u?.destroy();
    const { data, options } = (one.chart.kind === "slices" ? slices : categories)(one.chart);
    one.u = new uPlot({ width: one.plot.clientWidth, height: HEIGHT, ...options }, data, one.plot);
  };

  const begin = (box) => {
    if (box.dataset.chart === "drawn") return;
    box.dataset.chart = "drawn";
    const one = { plot: box.querySelector(".plot"), chart: JSON.parse(box.querySelector("script").textContent) };
    paint(one);
    drawn.add(one);
    new ResizeObserver(() => one.u.setSize({ width: one.plot.clientWidth, height: HEIGHT })).observe(one.plot);
    if (one.chart.kind === "slices") steer(one);
  };

  const beginAll = () => document.querySelectorAll("[data-chart]").forEach(begin);
  const paintAll = () => drawn.forEach((one) => { if (one.plot.isConnected) paint(one); else drawn.delete(one); });

  document.body.append(probe);
  beginAll();
  document.addEventListener("htmx:after:swap", beginAll);
  document.addEventListener("hilum:theme", paintAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);
})();
