// Opens page.html in frames of several widths, uses the last as a reader would, and leaves what it saw.
(async () => {
  const wait = () => new Promise(done => setTimeout(done, 200));
  const open = async width => {
    const frame = Object.assign(document.createElement("iframe"), {src: "page.html", width, height: HEIGHT});
    document.body.append(frame);
    await new Promise(done => frame.addEventListener("load", done));
    for (let i = 0; i < 100 && frame.contentDocument.documentElement.dataset.drawn !== "yes"; i++) await wait();
    return frame;
  };
  const seen = {widths: {}};
  let frame, root;
  for (const width of WIDTHS) {
    frame = await open(width); root = frame.contentDocument;
    const chart = root.getElementById("chart"), answer = root.querySelector("#s0 > ul > li:nth-child(3)");
    seen.widths[width] = {
      drawn: root.documentElement.dataset.drawn,
      page: root.documentElement.scrollWidth, room: root.documentElement.clientWidth,
      answer: answer.getBoundingClientRect().bottom, chart: chart.getBoundingClientRect().top,
      figure: chart.querySelector("svg.main-svg").getBoundingClientRect().width, box: chart.clientWidth,
      wide: [...root.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth).length,
      pictures: [...root.images].map(image => image.naturalWidth),
    };
  }
  const chart = root.getElementById("chart"), form = root.querySelector("form");
  const state = () => ({
    points: chart.querySelectorAll(".scatterlayer .points path").length, lines: chart.querySelectorAll(".lines path.js-line").length,
    bands: chart.data.filter(trace => trace.fill === "toself").length, x: chart.layout.xaxis, y: chart.layout.yaxis,
    says: root.getElementById("figure-says").textContent, rows: root.querySelectorAll("#points tr").length,
  });
  const choose = async (name, value) => {
    const field = form.elements[name];
    if (field.type === "checkbox") field.checked = value; else field.value = value;
    field.dispatchEvent(new Event("change", {bubbles: true})); await wait(); await wait();
    return state();
  };
  const press = async key => {
    chart.focus(); chart.dispatchEvent(new frame.contentWindow.KeyboardEvent("keydown", {key, bubbles: true})); await wait();
    return {words: root.getElementById("point").textContent, shown: [...chart.querySelectorAll(".hoverlayer text")].map(t => t.textContent).join(" ")};
  };
  seen.opened = state();
  seen.first = await press("Home"); seen.second = await press("ArrowRight"); seen.last = await press("End");
  seen.focused = root.activeElement === chart;
  seen.unbanded = await choose("bands", false);
  seen.lineless = await choose("law-line", false);
  seen.linear = await choose("log-y", false);
  seen.data = await choose("axis", "data");
  seen.calibrated = await choose("metric", "calibrated_cross_entropy");
  seen.signed = await choose("metric", "score_uncertainty");
  seen.unlabelled = [...root.querySelectorAll("select, input")].filter(field => !field.labels.length).length;
  seen.silent = [...root.images].filter(image => !image.alt).length;
  seen.headings = [...root.querySelectorAll("h1, h2, h3")].map(heading => heading.tagName);
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {id: "seen", textContent: JSON.stringify(seen)}));
})()
