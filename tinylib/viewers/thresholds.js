// The threshold explorer: every rate on the page is counted here, from the scores that the page holds.
document.querySelectorAll(".tl-view[data-thresholds]:not([data-on])").forEach((root) => {
  root.dataset.on = "1";
  const view = JSON.parse(root.dataset.thresholds), C = view.classes.length;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const scores = new Float32Array(bytes(view.scores).buffer), truth = bytes(view.truth), N = truth.length / C;
  const find = (part) => root.querySelector(`[data-part=${part}]`);
  const sliders = [...root.querySelectorAll("input[type=range]")];
  const cuts = Float64Array.from(view.presets[0].values);
  let shown = 0;

  const rates = (right, guessed, there) => [guessed ? right / guessed : 0, there ? right / there : 0,
    guessed + there ? 2 * right / (guessed + there) : 0];
  function count(c, cut) {                          // of one class: right, guessed, there
    let right = 0, guessed = 0, there = 0;
    for (let i = c; i < scores.length; i += C) {
      const chosen = scores[i] > cut;
      guessed += chosen; there += truth[i]; right += chosen && truth[i];
    }
    return [right, guessed, there];
  }
  const tell = (part, values) => { find(part).textContent = values.map((v) => v.toFixed(3)).join(" · "); };
  function total(counts) {
    const each = counts.map((k) => rates(...k)), sum = (list, at) => list.reduce((a, row) => a + row[at], 0);
    tell("macro", [0, 1, 2].map((at) => sum(each, at) / C));
    tell("micro", rates(...[0, 1, 2].map((at) => sum(counts, at))));
    root.querySelectorAll("[data-class]").forEach((row, c) => {
      row.querySelector("[data-part=cut]").textContent = cuts[c].toFixed(3);
      each[c].forEach((value, at) => { row.querySelectorAll("[data-rate]")[at].textContent = value.toFixed(3); });
    });
  }
  function curve() {                                // precision, recall and F1 of the class in hand
    const [W, H, L, B] = [360, 200, 34, 24], plot = find("plot"), steps = 100;
    const X = (x) => L + x * (W - L - 8), Y = (y) => H - B - y * (H - B - 8);
    const points = Array.from({ length: steps + 1 }, (_, k) => rates(...count(shown, k / steps)));
    const line = (at, colour, width) => `<polyline fill="none" stroke="${colour}" stroke-width="${width}" points="${
      points.map((p, k) => `${X(k / steps)},${Y(p[at])}`).join(" ")}"/>`;
    plot.innerHTML = [0, .5, 1].map((t) => `<line x1="${L}" x2="${W - 8}" y1="${Y(t)}" y2="${Y(t)}" stroke="#e4e7eb"/>`
      + `<text x="${L - 5}" y="${Y(t) + 4}" text-anchor="end">${t}</text>`
      + `<text x="${X(t)}" y="${H - 7}" text-anchor="middle">${t}</text>`).join("")
      + line(0, "#d55e00", 1.2) + line(1, "#009e73", 1.2) + line(2, "#0072b2", 2.4)
      + `<line x1="${X(cuts[shown])}" x2="${X(cuts[shown])}" y1="8" y2="${H - B}" stroke="#222222" stroke-dasharray="4 3"/>`;
    find("name").textContent = view.classes[shown];
    root.querySelectorAll("[data-class]").forEach((row, c) => row.classList.toggle("tl-on", c === shown));
  }
  const counts = view.classes.map((_, c) => count(c, cuts[c]));
  function move(c, cut) { cuts[c] = cut; counts[c] = count(c, cut); }
  const draw = () => { total(counts); curve(); };

  sliders.forEach((slider, c) => {
    slider.oninput = () => { shown = c; move(c, +slider.value); draw(); };
    slider.onfocus = () => { shown = c; curve(); };
    slider.onkeydown = (event) => { if (event.key.startsWith("Arrow")) event.stopPropagation(); };  // JupyterLab's cells
  });
  root.querySelectorAll("[data-preset]").forEach((button) => {
    button.onclick = () => {
      view.presets[+button.dataset.preset].values.forEach((cut, c) => { move(c, cut); sliders[c].value = cut; });
      draw();
    };
  });
  find("clips").textContent = `${N} clips`;
  sliders.forEach((slider, c) => { slider.value = cuts[c]; });
  draw();
});
