// One engine for every clip viewer: panes of canvases fed from sprite sheets, a time slider, optional choices and filters.
// It looks for elements that nobody has started yet, so any number of viewers live on one page, live or rendered.
document.querySelectorAll(".tl-view[data-view]:not([data-on])").forEach((root) => {
  root.dataset.on = "1";
  const view = JSON.parse(root.dataset.view);
  const find = (part) => root.querySelector(`[data-part=${part}]`);
  const [play, time, out] = ["play", "time", "out"].map(find);
  const images = {};
  let frame = 0, timer = null, chosen = [], page = 0;

  const image = (key) => {                        // decoded on first sight
    if (!images[key]) {
      images[key] = new Image();
      images[key].onload = draw;
      images[key].src = view.sprites[key].src;
    }
    return images[key];
  };
  const choices = [...root.querySelectorAll("[data-choice]")];
  const picked = (layer) => layer === "@" ? choices.map((s) => s.value).join("/")
    : layer.replace(/\{(\d+)\}/g, (whole, i) => choices[i] ? choices[i].value : whole);  // "{0}": the first choice
  const opacity = () => { const slider = find("opacity"); return slider ? slider.value / 100 : 1; };

  function paint(canvas, layers) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    layers.forEach((layer, depth) => {
      const key = picked(layer), sprite = view.sprites[key];
      if (!sprite || !image(key).complete) return;
      const at = Math.min(sprite.n - 1, Math.floor(frame * sprite.n / view.frames));  // 4, 8 and 16 frames share one clock
      context.globalAlpha = depth ? opacity() : 1;
      context.imageSmoothingEnabled = !!sprite.smooth;
      context.drawImage(images[key], (at % sprite.cols) * sprite.w, Math.floor(at / sprite.cols) * sprite.h,
        sprite.w, sprite.h, 0, 0, canvas.width, canvas.height);
    });
    context.globalAlpha = 1;
  }
  function draw() {
    root.querySelectorAll("canvas").forEach((canvas, i) => {
      const pane = view.filters ? view.panes[chosen[page * view.page + i]] : view.panes[i];
      const figure = canvas.closest("figure");
      figure.hidden = !pane;
      if (!pane) return;
      if (view.filters && canvas.dataset.shown !== pane.layers[0]) {
        canvas.dataset.shown = pane.layers[0];
        canvas.setAttribute("aria-label", pane.label);
        figure.querySelector("figcaption").textContent = pane.label;
      }
      paint(canvas, pane.layers);
    });
    time.value = frame;
    out.textContent = `${frame + 1} / ${view.frames}`;
  }
  const go = (to) => { frame = (to + view.frames) % view.frames; draw(); };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "▶"; play.setAttribute("aria-label", "play"); };
  const toggle = () => {
    if (timer) return stop();
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
    timer = setInterval(() => root.isConnected ? go(frame + 1) : stop(), 1000 / view.fps);
  };
  play.onclick = toggle;
  time.oninput = () => { stop(); go(+time.value); };
  root.querySelectorAll("[data-choice], [data-part=opacity]").forEach((input) => { input.oninput = draw; });
  root.onkeydown = (event) => {
    if (event.target.matches("select, input:not([data-part=time])")) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { stop(); go(frame + step); } else if (event.key === " " && event.target !== play) toggle(); else return;
    event.preventDefault();
    event.stopPropagation();                      // JupyterLab moves between cells on arrows
  };

  const filters = [...root.querySelectorAll("[data-filter]")];
  function filter() {
    const fits = (pane) => filters.every((f) => !f.value || [].concat(pane.tags[f.dataset.filter]).includes(f.value));
    chosen = view.panes.map((_, i) => i).filter((i) => fits(view.panes[i]));
    turn(0);
  }
  function turn(to) {
    const last = Math.max(0, Math.ceil(chosen.length / view.page) - 1);
    page = Math.min(Math.max(to, 0), last);
    find("back").disabled = page === 0;
    find("next").disabled = page === last;
    find("count").textContent = `${chosen.length} clips, page ${page + 1} / ${last + 1}`;
    draw();
  }
  if (view.filters) {
    filters.forEach((f) => { f.onchange = filter; });
    find("back").onclick = () => turn(page - 1);
    find("next").onclick = () => turn(page + 1);
    filter();
  }
  draw();
});

// The training monitor: draws the ticked columns of a log over its steps.
document.querySelectorAll(".tl-view[data-log]:not([data-on])").forEach((root) => {
  root.dataset.on = "1";
  const log = JSON.parse(root.dataset.log), plot = root.querySelector("svg"), out = root.querySelector("[data-part=out]");
  const [W, H, L, B] = [640, 280, 56, 28];
  const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
  const colour = (name) => colours[log.names.indexOf(name) % colours.length];
  const short = (v) => Math.abs(v) >= 1e4 || (v && Math.abs(v) < 1e-3) ? v.toExponential(1) : String(+v.toPrecision(3));
  function draw() {
    const names = [...root.querySelectorAll("[data-name]:checked")].map((box) => box.dataset.name);
    const points = Object.fromEntries(names.map((n) => [n, log.rows.filter((r) => r[n] != null).map((r) => [r[log.x], r[n]])]));
    const all = Object.values(points).flat();
    if (!all.length) { plot.innerHTML = ""; return; }
    const span = (axis) => { const v = all.map((p) => p[axis]), a = Math.min(...v), b = Math.max(...v); return [a, b > a ? b : a + 1]; };
    const [x0, x1] = span(0), [y0, y1] = span(1);
    const X = (x) => L + (x - x0) / (x1 - x0) * (W - L - 12), Y = (y) => H - B - (y - y0) / (y1 - y0) * (H - B - 12);
    const ticks = [0, .25, .5, .75, 1];
    plot.innerHTML = ticks.map((t) => { const y = y0 + t * (y1 - y0), x = x0 + t * (x1 - x0);
      return `<line x1="${L}" x2="${W - 12}" y1="${Y(y)}" y2="${Y(y)}" stroke="#e4e7eb"/><text x="${L - 6}" y="${Y(y) + 4}" text-anchor="end">${short(y)}</text>`
        + `<text x="${X(x)}" y="${H - 8}" text-anchor="middle">${short(x)}</text>`; }).join("")
      + names.map((n) => `<polyline fill="none" stroke="${colour(n)}" stroke-width="2" points="${points[n].map(([x, y]) => `${X(x)},${Y(y)}`).join(" ")}"/>`
        + points[n].map(([x, y]) => `<circle cx="${X(x)}" cy="${Y(y)}" r="2.5" fill="${colour(n)}"/>`).join("")).join("");
    plot.onmousemove = (event) => {
      const box = plot.getBoundingClientRect(), at = (event.clientX - box.left) * W / box.width;
      const near = names.map((n) => points[n].reduce((a, b) => Math.abs(X(b[0]) - at) < Math.abs(X(a[0]) - at) ? b : a));
      out.textContent = `${log.x} ${short(near[0][0])}: ` + names.map((n, i) => `${n} ${short(near[i][1])}`).join(", ");
    };
  }
  root.querySelectorAll("[data-name]").forEach((box) => {
    box.onchange = draw;
    box.parentElement.style.color = colour(box.dataset.name);
  });
  draw();
});
