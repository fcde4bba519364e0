"use strict";
// Draws the page's figure from its data with plotly, as the menus say; the arrow keys go from point to point.
(async () => {
  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("figure-data").textContent);
  const form = document.querySelector("#explorer form");
  const chart = element("chart"), says = element("figure-says"), told = element("point"), details = element("points");
  const choice = (name) => form.elements[name];
  const on = (name) => choice(name).checked;
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "cross", "x", "hexagon"];

  async function loadPlotly() {
    const packed = Uint8Array.from(atob(element("library").textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // plotly reads tags in its texts, and names come from a config.
  const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const number = (value) => value === null || value === undefined ? "" : value.toLocaleString("en", {maximumSignificantDigits: 4});
  const state = () => ({
    test: Number(choice("test").value), variant: choice("variant").value, metric: choice("metric").value,
    axis: choice("axis").value, fixed: choice("slice").value,
  });
  const entry = (list, name) => list.find((one) => one.name === name);
  const matches = (row, s) => row.test === s.test && row.variant === s.variant && row.metric === s.metric && row.axis === s.axis;

  function fillSlices() {
    const s = state(), before = choice("slice").value;
    const slices = new Map(data.curves.filter((row) => matches(row, s)).map((row) => [row.fixed, row.slice || row.fixed]));
    choice("slice").replaceChildren(...[...slices].map(([fixed, words]) => new Option(words, fixed)));
    const preferred = slices.has(before) ? before : entry(data.axes, s.axis).slice;
    if (slices.has(preferred)) choice("slice").value = preferred;
    choice("slice").parentElement.hidden = slices.size < 1;
  }

  // The points that are shown, by subset over sizes and compute, by model over data; each group from left to right.
  function groups(s) {
    const bySubset = ["model", "inference"].includes(s.axis), list = bySubset ? data.subsets : data.models;
    return list.map((group, at) => ({
      ...group, label: bySubset ? `D = ${number(group.name)}` : group.name, symbol: SYMBOLS[at % SYMBOLS.length],
      points: data.points.filter((point) => point.test === s.test && point.variant === s.variant && s.metric in point.values
        && (bySubset ? point.subset : point.model) === group.name).sort((one, other) => one.x[s.axis] - other.x[s.axis]),
    })).filter((group) => group.points.length);
  }

  function described(point, s) {
    const [value, low, high] = point.values[s.metric], metric = entry(data.metrics, s.metric);
    const interval = low === null || high === null ? "" : ` [${number(low)}, ${number(high)}]`;
    return `${point.model}, ${number(point.subset)} training queries, seed ${point.seed}: ${metric.label} ${number(value)}${interval}`
      + `${metric.unit ? ` ${metric.unit}` : ""} at ${number(point.x[s.axis])} ${entry(data.axes, s.axis).label}`;
  }

  function traces(s, shown) {
    const drawn = [], laws = data.curves.filter((row) => matches(row, s) && row.fixed === s.fixed && on(`law-${row.law}`));
    for (const row of on("bands") ? laws : []) {
      const known = row.x.map((_, at) => at).filter((at) => row.low[at] !== null && row.high[at] !== null);
      const back = [...known].reverse();
      drawn.push({
        x: [...known, ...back].map((at) => row.x[at]), y: [...known.map((at) => row.low[at]), ...back.map((at) => row.high[at])],
        type: "scatter", mode: "lines", line: {width: 0}, fill: "toself", fillcolor: entry(data.laws, row.law).colour, opacity: Math.min(0.15, 0.3 / laws.length),
        hoverinfo: "skip", showlegend: false, name: `band ${row.law}`,
      });
    }
    for (const row of laws) {
      const look = entry(data.laws, row.law), r2 = row.r2 === null ? "" : `, R² ${row.r2.toFixed(3)}`;
      drawn.push({x: row.x, y: row.y, type: "scatter", mode: "lines", line: {color: look.colour, dash: look.dash, width: 2},
        hoverinfo: "skip", name: `${look.label}${r2}`});
    }
    for (const group of shown) {
      const values = group.points.map((point) => point.values[s.metric]);
      drawn.push({
        x: group.points.map((point) => point.x[s.axis]), y: values.map((value) => value[0]),
        text: group.points.map((point) => plain(described(point, s)).replace(": ", ":<br>")), hovertemplate: "%{text}<extra></extra>",
        type: "scatter", mode: "markers", name: plain(group.label),
        marker: {color: group.colour, symbol: group.symbol, size: 9, line: {color: "#fff", width: 1}},
        error_y: {visible: on("intervals"), type: "data", symmetric: false, thickness: 1, width: 2, color: group.colour,
          array: values.map((value) => value[2] === null ? 0 : value[2] - value[0]),
          arrayminus: values.map((value) => value[1] === null ? 0 : value[0] - value[1])},
      });
    }
    return drawn;
  }

  function layout(s, shown) {
    const metric = entry(data.metrics, s.metric), axis = entry(data.axes, s.axis), chance = data.chance[s.metric][s.test];
    const values = shown.flatMap((group) => group.points.map((point) => point.values[s.metric][0]));
    const positive = values.every((value) => value > 0);
    choice("log-y").disabled = !positive;
    // A line far above all there is to see would flatten the rest.
    const near = chance !== null && chance < Math.max(...values) + 1.5 * (Math.max(...values) - Math.min(...values) || 1);
    const narrow = chart.clientWidth < 560;
    return {
      margin: {l: 62, r: 12, t: 12, b: 50}, font: {family: "system-ui, sans-serif", size: 13},
      hovermode: "closest", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      hoverlabel: {bgcolor: "#fff", bordercolor: "#5a6270", font: {color: "#16191d", size: 13}, align: "left"},
      legend: narrow ? {orientation: "h", y: -0.3, yanchor: "top", font: {size: 11}} : {x: 1.01, y: 1, font: {size: 12}},
      xaxis: {title: {text: axis.label}, type: on("log-x") ? "log" : "linear", gridcolor: "#e8ebf0", zeroline: false,
        tickformat: ["compute", "inference"].includes(s.axis) ? "~e" : "~s", ...(on("log-x") ? {dtick: narrow ? 1 : "D2"} : {})},
      yaxis: {title: {text: metric.label + (metric.unit ? ` (${metric.unit})` : "")}, zeroline: false, gridcolor: "#e8ebf0",
        type: on("log-y") && positive ? "log" : "linear", ...(on("log-y") && positive ? {nticks: 6} : {})},
      shapes: near ? [{type: "line", xref: "paper", x0: 0, x1: 1, y0: chance, y1: chance, line: {dash: "dot", width: 1}}] : [],
      annotations: near ? [{xref: "paper", x: 1, xanchor: "right", yanchor: "bottom", showarrow: false, text: `chance ${number(chance)}`,
        y: on("log-y") && positive ? Math.log10(chance) : chance, font: {size: 11}}] : [],
    };
  }

  function tell(s, shown) {
    const of = (row) => matches(row, s) && row.fixed === s.fixed, verdict = data.verdicts.find(of), law = data.curves.find(of);
    const what = `${entry(data.metrics, s.metric).label} over ${entry(data.axes, s.axis).label}`;
    says.textContent = `${what}${law && law.slice ? `; laws ${law.slice}` : ""}${verdict ? `: ${verdict.verdict}` : ""}. `
      + "Bars and bands: 95 % intervals. Hover, tap, or focus the figure and use the arrow keys, for a point's run and numbers.";
    const count = shown.reduce((sum, group) => sum + group.points.length, 0);
    chart.setAttribute("aria-label", `${what}, ${count} points${verdict ? `; ${verdict.verdict}` : ""}. `
      + "Arrow keys go from point to point; the table below holds them all.");
    const row = (cells, kind) => {
      const line = document.createElement("tr");
      line.append(...cells.map((text) => Object.assign(document.createElement(kind), {textContent: text})));
      return line;
    };
    const head = ["Model", "Training queries", "Seed", entry(data.axes, s.axis).label, entry(data.metrics, s.metric).label, "low", "high"];
    details.querySelector("table").replaceChildren(row(head, "th"), ...shown.flatMap((group) => group.points).map((point) =>
      row([point.model, number(point.subset), point.seed, number(point.x[s.axis]), ...point.values[s.metric].map(number)], "td")));
  }

  let order = [], current = -1;  // the points from left to right: where each is in the drawing, and what is said of it

  async function draw() {
    const s = state(), shown = groups(s), drawn = traces(s, shown), first = drawn.length - shown.length;
    order = shown.flatMap((group, trace) => group.points.map((point, at) => (
      {at: {curveNumber: first + trace, pointNumber: at}, x: point.x[s.axis], words: described(point, s)})));
    order.sort((one, other) => one.x - other.x);
    current = -1;
    told.textContent = "";
    await Plotly.react(chart, drawn, layout(s, shown), {displayModeBar: false});
    tell(s, shown);
  }

  function go(event) {
    const moves = {ArrowRight: current + 1, ArrowDown: current + 1, ArrowLeft: current - 1, ArrowUp: current - 1, Home: 0, End: order.length - 1};
    if (event.key === "Escape") { Plotly.Fx.unhover(chart); told.textContent = ""; current = -1; }
    if (!(event.key in moves) || !order.length) return;
    event.preventDefault();
    current = Math.max(0, Math.min(order.length - 1, moves[event.key]));
    told.textContent = order[current].words;
    Plotly.Fx.hover(chart, [order[current].at]);
  }

  try {
    await loadPlotly();
    fillSlices();
    form.hidden = details.hidden = false;
    chart.replaceChildren();
    chart.className = "drawn";
    chart.tabIndex = 0;
    await draw();
    chart.on("plotly_hover", (event) => { told.textContent = event.points[0].text ? order.find((one) =>
      one.at.curveNumber === event.points[0].curveNumber && one.at.pointNumber === event.points[0].pointNumber).words : ""; });
    chart.addEventListener("keydown", go);
    form.addEventListener("change", (event) => {
      if (["test", "variant", "metric", "axis"].includes(event.target.name)) fillSlices();
      draw();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    let width = chart.clientWidth;
    new ResizeObserver(() => { if (chart.clientWidth !== width) { width = chart.clientWidth; draw(); } }).observe(chart);
    addEventListener("beforeprint", () => Plotly.Plots.resize(chart));
    document.documentElement.dataset.drawn = "yes";
  } catch (error) {
    // What a browser cannot draw stays the picture that stands there.
    console.warn(`The figure stays as it was drawn: ${error}`);
  }
})();
