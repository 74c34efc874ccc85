"use strict";
/* A curve as SVG, as wide as there is room, for mouse, finger, keyboard and screen reader.

   charts.data()                    the data that the page was rendered with
   charts.line(element, options)    draws a curve; returns {update(changes), select(index)}: draw again with some options
                                    changed; move the readout to an index, to which it returns when the pointer leaves

   Options:  title, xLabel, yLabel, yRange: [low, high], points: [[x, y], ...], references: [{y, label}],
             onHover(index): null when the pointer leaves and nothing was selected.
   A y that is null leaves a gap. No text stands on the curve: a key above the plot explains the reference lines.
   Texts are set as text, so data can't become markup. */
const charts = (() => {
  const SVG = "http://www.w3.org/2000/svg"; // a name; nothing is loaded from there
  const HEIGHT = 300, TOP = 24, RIGHT = 14, BOTTOM = 44, CHARACTER = 6.8;

  function make(name, attributes = {}, text = null, namespace = SVG) {
    const node = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    return node;
  }
  const html = (name, attributes, text) => make(name, attributes, text, null);
  const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content || "");
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function data() {
    return JSON.parse(document.getElementById("data").textContent);
  }

  function formatted(value) {
    if (!isNumber(value)) return "none";
    const size = Math.abs(value);
    if (size && size < 1e-3) return value.toExponential(2);
    return value.toLocaleString("en", size < 100 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 1 });
  }

  // Round numbers that divide a range into about `count` parts.
  function ticks(low, high, count, isWhole = false) {
    const rough = (high - low) / Math.max(count, 1) || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
    if (isWhole) step = Math.max(1, Math.round(step));
    const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, number) => Number(((first + number) * step).toPrecision(12)));
  }

  function scale([low, high], start, end) {
    const factor = (end - start) / (high - low || 1);
    return (value) => start + (value - low) * factor;
  }

  // The width of a text; an estimate where the plot is not laid out.
  function widthOf(plot, content) {
    const node = text(0, 0, "start", content);
    plot.append(node);
    const width = node.getComputedTextLength();
    node.remove();
    return width || content.length * CHARACTER;
  }

  class Curve {
    constructor(element, options) {
      Object.assign(this, { element, options, index: null, selected: null, width: 0 });
      this.title = html("figcaption");
      this.key = html("p", { class: "chart-key" });
      this.plot = make("svg", { class: "chart-plot", tabindex: "0", role: "application" });
      this.readout = html("p", { class: "chart-readout", "aria-live": "polite" });
      element.classList.add("chart");
      element.replaceChildren(this.title, this.key, this.plot, this.readout);
      this.listen();
      this.update({});
    }

    listen() {
      const follow = (event) => this.follow(event);
      this.plot.addEventListener("pointermove", follow);
      this.plot.addEventListener("pointerdown", follow);
      this.plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.point(this.selected));
      this.plot.addEventListener("blur", () => this.point(this.selected));
      this.plot.addEventListener("keydown", (event) => this.move(event));
      new ResizeObserver(() => {
        if (this.element.clientWidth && this.element.clientWidth !== this.width) this.draw();
      }).observe(this.element);
    }

    update(changes) {
      this.options = { ...this.options, ...changes };
      this.title.textContent = this.options.title || "";
      this.plot.setAttribute("aria-label", `${this.options.title || "chart"}. Arrow keys read the values.`);
      this.key.replaceChildren(...keyOf(this.options));
      this.draw();
    }

    draw() {
      this.readout.style.minHeight = "";
      this.width = this.element.clientWidth;
      const width = Math.max(240, this.width || 600);
      this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      this.positions = drawCurve(this.plot, this.options, width);
      this.cursor = make("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
      this.plot.append(this.cursor);
      this.point(this.index, false);
    }

    select(index) {
      this.selected = index;
      this.point(index, false);
    }

    // Moves the readout to an index, or away; a move that the reader did not make is not announced.
    point(wanted, isHeard = true) {
      const last = this.positions.length - 1;
      const index = wanted === null || last < 0 ? null : clamp(wanted, 0, last);
      const isNew = index !== this.index;
      this.index = index;
      this.readout.setAttribute("aria-live", isHeard ? "polite" : "off");
      this.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
      if (index !== null) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.positions[index]);
      this.readout.replaceChildren(...(index === null ? [] : this.entries(index)));
      // The height only grows, or everything below would move with the pointer.
      this.readout.style.minHeight = `${this.readout.offsetHeight}px`;
      if (isNew && isHeard && this.options.onHover) this.options.onHover(index);
    }

    entries(index) {
      const [x, y] = this.options.points[index], { xLabel, yLabel } = this.options;
      return [html("strong", {}, `${xLabel || "x"} ${formatted(x)}`), html("span", {}, `${yLabel || "y"} ${formatted(y)}`)];
    }

    follow(event) {
      const box = this.plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * this.plot.viewBox.baseVal.width;
      const distances = this.positions.map((at) => Math.abs(at - x));
      const least = distances.reduce((a, b) => Math.min(a, b), Infinity);
      this.point(distances.length ? distances.indexOf(least) : null);
    }

    move(event) {
      const at = this.index === null ? -1 : this.index, last = this.positions.length - 1;
      const steps = { ArrowRight: at + 1, ArrowLeft: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: last };
      if (event.key === "Escape") this.point(this.selected);
      if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.point(steps[event.key]);
    }
  }

  // Explains the reference lines: a sample of each, with its label.
  function keyOf({ references = [] }) {
    return references.map(({ y, label }) => {
      const sample = make("svg", { class: "swatch", viewBox: "0 0 24 12", "aria-hidden": "true" });
      sample.append(make("line", { class: "reference", x1: 0, x2: 24, y1: 6, y2: 6 }));
      const entry = html("span");
      entry.append(sample, `${label}: ${formatted(y)}`);
      return entry;
    });
  }

  // Draws axes, references and the curve; returns where each point lies, from left to right in the SVG's own units.
  function drawCurve(plot, options, width) {
    const { points, yRange, references = [] } = options;
    const xs = points.map(([x]) => x), first = xs.length ? xs[0] : 0, last = xs.length ? xs[xs.length - 1] : 1;
    const xRange = first === last ? [first - 0.5, last + 0.5] : [first, last];
    const marks = ticks(...yRange, 5), labels = marks.map(formatted);
    const left = labels.reduce((most, each) => Math.max(most, widthOf(plot, each)), 3 * CHARACTER) + 10;
    const end = width - RIGHT, x = scale(xRange, left, end), y = scale(yRange, HEIGHT - BOTTOM, TOP);
    const across = (name, at) => make("line", { class: name, x1: left, x2: end, y1: at, y2: at });
    plot.replaceChildren(text(0, 12, "start", options.yLabel));
    marks.forEach((value, number) => {
      plot.append(across("grid", y(value)), text(left - 6, y(value) + 4, "end", labels[number]));
    });
    plot.append(across("axis", HEIGHT - BOTTOM), text((left + end) / 2, HEIGHT - 6, "middle", options.xLabel));
    for (const { y: value } of references) plot.append(across("reference", y(value)));
    for (const value of ticks(...xRange, (end - left) / 70, xs.every(Number.isInteger))) {
      const label = formatted(value), half = widthOf(plot, label) / 2; // moved left where it would be cut off
      plot.append(text(Math.min(x(value), width - half), HEIGHT - BOTTOM + 16, "middle", label));
    }
    plot.append(make("path", { class: "line", d: path(points, x, y) }));
    return xs.map(x);
  }

  function path(points, x, y) {
    let pen = "M";
    const steps = points.map(([at, value]) => {
      const step = isNumber(value) ? `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}` : "";
      pen = isNumber(value) ? "L" : "M";
      return step;
    });
    return steps.join("");
  }

  return {
    data,
    line(element, options) {
      const curve = new Curve(element, options);
      return { update: (changes) => curve.update(changes), select: (index) => curve.select(index) };
    },
  };
})();
