// Draws the charts of the panel and keeps it fresh. Nothing is kept in the browser, and all that is
// shown comes from the page itself: it is fetched again, and what changed takes its place.
"use strict";

const EVERY_MS = 5000;
const panel = document.getElementById("panel");
const lost = document.getElementById("perdida");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const written = new Map();
let printing = false;
let tag = null;
let lostSince = "";
let timer = 0;

// --- charts ------------------------------------------------------------------------------

const PAPER = {
  ink: "#000000", soft: "#333333", line: "#bbbbbb", yes: "#12667f", no: "#a04a00", over: "#9fc3ce", card: "#ffffff",
};

function colours() {
  if (printing) return PAPER;
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.keys(PAPER).map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const see = (hex, share) => hex.replace(/^#(..)(..)(..)$/, (_, ...parts) => `rgba(${parts.slice(0, 3).map((p) => parseInt(p, 16)).join(",")},${share})`);

const KINDS = {
  stack: (chart, of) => ({
    traces: chart.series.map((y, i) => ({
      type: "bar", x: chart.x, y, name: chart.names[i], marker: { color: i ? of.over : of.yes },
    })),
    layout: { barmode: "stack", bargap: 0.15, xaxis: { type: "date" }, yaxis: { tickformat: ",d" } },
  }),
  scores: (chart, of) => ({
    traces: [
      { type: "bar", x: chart.x, y: chart.series[0], width: chart.width * 0.86, name: chart.names[0], marker: { color: of.yes } },
      ...(chart.series[1].length ? [{
        type: "scatter", mode: "lines", line: { shape: "hvh", color: of.no, width: 2.5 },
        x: chart.x, y: chart.series[1], name: chart.names[1],
      }] : []),
    ],
    layout: {
      xaxis: { range: [0, 100], dtick: 20, ticksuffix: chart.unit }, yaxis: { ticksuffix: chart.unit },
      ...(chart.threshold === null ? {} : threshold(chart.threshold, chart.line, of)),
    },
  }),
  course: (chart, of) => ({
    traces: chart.series.flatMap((y, i) => (y.length ? [{
      type: "scatter", mode: "lines+markers", x: chart.x[i], y, name: chart.names[i],
      line: { color: i ? of.no : of.yes, width: 2 },
      marker: { size: 7, symbol: i ? "diamond" : "circle" },
      error_y: {
        type: "data", symmetric: false, thickness: 1.2, width: 3, color: i ? of.no : of.yes,
        array: y.map((v, n) => (chart.high[i][n] === null ? 0 : chart.high[i][n] - v)),
        arrayminus: y.map((v, n) => (chart.low[i][n] === null ? 0 : v - chart.low[i][n])),
      },
    }] : [])),
    layout: {
      xaxis: { type: "date" },
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: chart.limit, y1: chart.limit, line: { color: of.soft, width: 1.5, dash: "dot" } }],
      annotations: [{ xref: "paper", x: 0, y: chart.limit, text: chart.line, showarrow: false, xanchor: "left", yanchor: "bottom", font: { color: of.ink } }],
    },
  }),
  lines: (chart, of) => ({
    traces: chart.series.map((y, i) => {
      const last = i === chart.series.length - 1;
      return {
        type: "scatter", mode: "lines+markers", x: chart.x, y, name: chart.names[i], connectgaps: false,
        line: { color: last ? of.yes : see(of.soft, 0.3 + (0.5 * i) / chart.series.length), width: last ? 3 : 1.8 },
        marker: { size: last ? 8 : 5 },
      };
    }),
    layout: { xaxis: { title: { text: chart.title }, tickvals: chart.x }, yaxis: { ticksuffix: chart.unit, rangemode: "tozero" } },
  }),
  deciles: (chart, of) => ({
    traces: [
      ...(chart.series[2].length ? [{
        type: "bar", x: chart.x, y: chart.series[2], name: chart.names[2], yaxis: "y2", marker: { color: of.over },
      }] : []),
      { type: "scatter", mode: "lines", x: chart.x, y: chart.series[0], name: chart.names[0], line: { color: of.soft, width: 2, dash: "dash" } },
      { type: "scatter", mode: "lines+markers", x: chart.x, y: chart.series[1], name: chart.names[1], line: { color: of.yes, width: 2.5 } },
    ],
    layout: {
      xaxis: { title: { text: chart.title }, dtick: 1 },
      yaxis: { ticksuffix: chart.unit, rangemode: "tozero", tickmode: "auto", overlaying: chart.series[2].length ? "y2" : undefined },
      yaxis2: { side: "right", showgrid: false, nticks: 5, tickformat: ",.0f", rangemode: "tozero", tickprefix: chart.money[0], ticksuffix: chart.money[1], automargin: true },
      margin: { r: chart.series[2].length ? 56 : 24 },
    },
  }),
};

function threshold(at, word, of) {
  return {
    shapes: [{ type: "line", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: { color: of.ink, width: 1.5, dash: "dot" } }],
    annotations: [{ x: at, yref: "paper", y: 1, text: word, showarrow: false, xanchor: at > 60 ? "right" : "left", yanchor: "top", xshift: at > 60 ? -4 : 4, font: { color: of.ink } }],
  };
}

// ``anew``: for another size, where the room that names of series took would be kept otherwise.
function draw(source, anew = false) {
  const place = document.getElementById(`grafico-${source.dataset.chart}`);
  if (!place || !window.Plotly) return;
  const chart = JSON.parse(source.textContent);
  const of = colours();
  const { traces, layout } = KINDS[chart.kind](chart, of);
  const axis = { gridcolor: of.line, linecolor: of.line, zerolinecolor: of.line, fixedrange: true, automargin: true };
  const dates = layout.xaxis.type === "date" ? { tickformatstops: [
    { dtickrange: [null, 43200000], value: "%H:%M\n%d/%m" }, { dtickrange: [43200001, null], value: "%d/%m" },
  ], nticks: 8, hoverformat: "%d/%m/%Y %H:%M" } : {};
  window.Plotly[anew ? "newPlot" : "react"](place, traces, {
    ...layout,
    autosize: !printing,
    ...(printing ? { width: 640, height: 210 } : {}),
    margin: { t: 8, l: 48, b: 40, r: 24, ...layout.margin },
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: of.ink },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: of.card, font: { color: of.ink } },
    hovermode: "x unified",
    separators: document.documentElement.lang === "es" ? ",\u202f" : ".,",
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    showlegend: true,
    xaxis: { ...axis, showgrid: false, ...dates, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
    ...(layout.yaxis2 ? { yaxis2: { ...axis, ...layout.yaxis2 } } : {}),
  }, { displayModeBar: false, responsive: true });
}

const drawAll = (anew) => document.querySelectorAll("script[data-chart]").forEach((one) => draw(one, anew));

// --- keeping it fresh --------------------------------------------------------------------

const blocks = (root) => [...root.querySelectorAll("[data-live]")];
const shape = (root) => blocks(root).map((block) => block.id).join();

// What stands in a block changes only where it differs from what was last there: no flicker, and a
// table that somebody opened, or the place of the keyboard, stays.
function renew(fresh) {
  if (shape(fresh) !== shape(document)) {
    window.location.reload(); // the first answers, the first chart: another page
    return;
  }
  for (const block of blocks(fresh)) {
    if (written.get(block.id) === block.innerHTML) continue;
    const old = document.getElementById(block.id);
    const open = [...old.querySelectorAll("details[open]")].map((one) => one.id);
    const scrolled = [...old.querySelectorAll(".wide")].map((one) => [one.scrollLeft, one.scrollTop]);
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    written.set(block.id, block.innerHTML);
    old.className = block.className;
    old.replaceChildren(...block.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    old.querySelectorAll(".wide").forEach((one, i) => one.scrollTo(...(scrolled[i] ?? [0, 0])));
    if (focused) document.getElementById(focused)?.focus();
    old.querySelectorAll("script[data-chart]").forEach((one) => draw(one));
  }
}

function tell(gone) {
  if (!gone) lostSince = "";
  else lostSince ||= new Date().toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
  lost.hidden = !gone;
  lost.textContent = gone ? `${panel.dataset.lost} ${lostSince}.` : "";
}

async function look() {
  try {
    const reply = await fetch(window.location.href, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
    if (reply.status !== 304) {
      const text = await reply.text();
      const fresh = new DOMParser().parseFromString(text, "text/html");
      if (!reply.ok || !fresh.getElementById("panel")) throw new Error("not the panel");
      tag = reply.headers.get("ETag");
      renew(fresh);
    }
    tell(false);
  } catch {
    tell(true);
  }
  next();
}

function next() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, EVERY_MS);
}

document.documentElement.classList.add("scripted");
for (const block of blocks(document)) written.set(block.id, block.innerHTML);
drawAll(false);
dark.addEventListener("change", () => drawAll(false));
window.addEventListener("beforeprint", () => { printing = true; drawAll(true); });
window.addEventListener("afterprint", () => { printing = false; drawAll(true); });
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
next();
