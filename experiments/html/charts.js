"use strict";
/* Charts as SVG, drawn as wide as there is room, for mouse, finger, keyboard and screen reader.

   charts.data()                    what the page was rendered with
   charts.line(element, options)    lines over numbers
   charts.bars(element, options)    bars over groups, with intervals
   Both return {update(changes), select(index)}: draw again with some options changed; put the readout somewhere, to
   where it returns when the pointer leaves.

   Options of both:  title, xLabel, yLabel, yRange: [low, high], either of which may be null, format: number -> text,
                     series: [...], references: [{y, label}], onHover(index, x): both null when the pointer leaves and
                     nothing was selected.
   Every series:     name, colour: a CSS colour, of itself var(--series-N), hidden: switched off at first.
   Lines:            yLog, xRange, xNames: {x: text}, diagonal: what the line from corner to corner means,
                     bandLabel and markLabel: what bands and marks mean; a series' points: [[x, y], ...], band: [[x, low, high], ...], marks: [[x, y], ...],
                     dash: as in SVG, thin and dots: true or false.
                     An index counts the distinct x of all series that are shown.
   Bars:             groups: [text, ...], counts: [number, ...], whiskerLabel: what the intervals mean;
                     a series' values, low, high: a number for each group.
   Nothing is written on the data: a key above the plot says what lines, bands and marks mean.
   A y that is null leaves a gap. Texts are set as text, so that no data can become markup. */
const charts = (() => {
  const SVG = "http://www.w3.org/2000/svg"; // a name, never loaded
  const HEIGHT = 300, TOP = 24, RIGHT = 14, CHARACTER = 6.8;

  function make(name, attributes = {}, text = null, namespace = SVG) {
    const node = namespace ? document.createElementNS(namespace, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    return node;
  }
  const html = (name, attributes, text) => make(name, attributes, text, null);
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function data() {
    return JSON.parse(document.getElementById("data").textContent);
  }

  function formatted(value) {
    if (!isNumber(value)) return "none";
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
    return value.toLocaleString("en", size < 100 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 1 });
  }

  // Round numbers that divide a range into about so many parts.
  function ticks(low, high, count, isWhole = false) {
    const rough = (high - low) / Math.max(count, 1) || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
    if (isWhole) step = Math.max(1, Math.round(step));
    const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
    return Array.from({ length: last - first + 1 }, (_, number) => Number(((first + number) * step).toPrecision(12)));
  }

  function powers(low, high, count) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const stride = Math.max(1, Math.ceil((last - first) / Math.max(count, 1)));
    const length = Math.max(0, Math.floor((last - first) / stride) + 1);
    return Array.from({ length }, (_, number) => 10 ** (last - number * stride));
  }

  // The range of the values, or what of it the options leave open, with a little air.
  function range(values, wanted = [null, null], isLog = false) {
    const bend = isLog ? Math.log10 : Number, unbend = isLog ? (value) => 10 ** value : Number;
    const there = values.filter((value) => isNumber(value) && (!isLog || value > 0)).map(bend);
    let low = there.reduce((a, b) => Math.min(a, b), Infinity);
    let high = there.reduce((a, b) => Math.max(a, b), -Infinity);
    if (low > high) [low, high] = isLog ? [-1, 0] : [0, 1];
    const air = (high - low || Math.abs(high) || 1) * 0.05;
    const found = [unbend(low - air), unbend(high + air)];
    return found.map((value, end) => (isNumber(wanted[end]) ? wanted[end] : value));
  }

  function scale([low, high], [start, end], isLog = false) {
    const bend = isLog ? Math.log10 : Number;
    const factor = (end - start) / (bend(high) - bend(low) || 1);
    return (value) => start + (bend(value) - bend(low)) * factor;
  }

  const colourOf = (each, index) => each.colour || `var(--series-${(index % 8) + 1})`;

  function paint(node, property, colour) {
    node.style.setProperty(property, colour);
    return node;
  }

  function sample(...shapes) {
    const picture = make("svg", { class: "swatch", viewBox: "0 0 24 12", "aria-hidden": "true" });
    picture.append(...shapes);
    return picture;
  }

  function swatch(each, index, isFilled) {
    const stroke = { "stroke-width": each.thin ? 1.5 : 3, "stroke-dasharray": each.dash || "" };
    const shape = isFilled
      ? make("rect", { x: 0, y: 1, width: 24, height: 10, rx: 2 })
      : make("line", { x1: 0, x2: 24, y1: 6, y2: 6, ...stroke });
    return sample(paint(shape, isFilled ? "fill" : "stroke", colourOf(each, index)));
  }

  // What the parts of a picture that are no series mean: samples of them, each with its text.
  function keyOf(options, shown) {
    const has = (part) => shown.some(({ each }) => (each[part] || []).some((value) => value !== null));
    const dashed = () => make("line", { class: "reference", x1: 0, x2: 24, y1: 6, y2: 6 });
    const entries = (options.references || []).map(({ y, label }) => [`${label}: ${formatted(y)}`, dashed()]);
    if (options.diagonal) entries.push([options.diagonal, dashed()]);
    if (options.bandLabel && has("band")) entries.push([options.bandLabel, make("rect", { class: "band", width: 24, height: 12 })]);
    if (options.markLabel && has("marks")) entries.push([options.markLabel, make("circle", { class: "mark", cx: 12, cy: 6, r: 5 })]);
    if (options.whiskerLabel && has("low")) entries.push([options.whiskerLabel, make("path", { class: "whisker", d: "M12 0V12M8 0.6h8M8 11.4h8" })]);
    return entries.map(([text, shape]) => {
      const entry = html("span");
      entry.append(sample(shape), text);
      return entry;
    });
  }

  // What both kinds of chart share: title, legend, a readout that pointer and keys move, and drawing again on a change.
  class Chart {
    constructor(element, options, kind) {
      Object.assign(this, { element, options, kind, index: null, selected: null, width: 0 });
      this.hidden = new Set(options.series.flatMap((each, index) => (each.hidden ? [index] : [])));
      this.title = html("figcaption");
      this.legend = html("div", { class: "chart-legend", role: "group", "aria-label": "series shown" });
      this.key = html("p", { class: "chart-key" });
      this.plot = make("svg", { class: "chart-plot", tabindex: "0", role: "application" });
      this.readout = html("p", { class: "chart-readout", "aria-live": "polite" });
      element.classList.add("chart");
      element.replaceChildren(this.title, this.legend, this.key, this.plot, this.readout);
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
      this.legend.replaceChildren(...this.options.series.map((each, index) => this.button(each, index)));
      this.legend.hidden = this.options.series.length < 2;
      this.draw();
    }

    button(each, index) {
      const button = html("button", { type: "button", "aria-pressed": String(!this.hidden.has(index)) });
      button.append(swatch(each, index, this.kind.isFilled), html("span", {}, each.name));
      button.addEventListener("click", () => {
        if (!this.hidden.delete(index)) this.hidden.add(index);
        button.setAttribute("aria-pressed", String(!this.hidden.has(index)));
        this.draw();
      });
      return button;
    }

    shown() {
      const all = this.options.series.map((each, index) => ({ each, index }));
      return all.filter(({ index }) => !this.hidden.has(index));
    }

    draw() {
      this.readout.style.minHeight = "";
      this.width = this.element.clientWidth;
      const width = Math.max(240, this.width || 600);
      this.key.replaceChildren(...keyOf(this.options, this.shown()));
      this.plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
      this.plan = this.kind.draw(this.plot, this.options, this.shown(), width);
      this.cursor = make("line", { class: "cursor", y1: TOP, y2: HEIGHT - this.kind.bottom });
      this.plot.append(this.cursor);
      this.point(this.index, false);
    }

    select(index) {
      this.selected = index;
      this.point(index, false);
    }

    // Moves the readout to an index, or away; what no reader did is not announced.
    point(wanted, isHeard = true) {
      const last = this.plan.positions.length - 1;
      const index = wanted === null || last < 0 ? null : clamp(wanted, 0, last);
      const isNew = index !== this.index;
      this.index = index;
      this.readout.setAttribute("aria-live", isHeard ? "polite" : "off");
      this.cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
      if (index !== null) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.plan.positions[index]);
      this.readout.replaceChildren(...(index === null ? [] : this.entries(index)));
      // Never lower again, or all that stands below would move with the pointer.
      this.readout.style.minHeight = `${this.readout.offsetHeight}px`;
      const { onHover } = this.options;
      if (isNew && isHeard && onHover) onHover(index, index === null ? null : this.plan.values[index]);
    }

    entries(index) {
      const entries = this.shown().map(({ each, index: number }) => {
        const entry = html("span");
        entry.append(swatch(each, number, this.kind.isFilled), `${each.name} ${this.plan.read(each, index)}`);
        return entry;
      });
      return [html("strong", {}, this.plan.name(index)), ...entries];
    }

    follow(event) {
      const box = this.plot.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * this.plot.viewBox.baseVal.width;
      const distances = this.plan.positions.map((at) => Math.abs(at - x));
      const least = distances.reduce((a, b) => Math.min(a, b), Infinity);
      this.point(distances.length ? distances.indexOf(least) : null);
    }

    move(event) {
      const at = this.index === null ? -1 : this.index, last = this.plan.positions.length - 1;
      const steps = { ArrowRight: at + 1, ArrowLeft: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: last };
      if (event.key === "Escape") this.point(this.selected);
      if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.point(steps[event.key]);
    }
  }

  // Axes, grid, labels and references; returns the two scales, in the svg's own units.
  function axes(plot, options, yRange, width, bottom, xScale) {
    const isLog = Boolean(options.yLog), format = options.format || formatted;
    const marks = isLog ? powers(...yRange, 5) : ticks(...yRange, 5);
    const label = (value) => (isLog ? value.toExponential(0).replace("e+", "e") : format(value));
    const left = 10 + Math.max(3 * CHARACTER, widest(plot, marks.map(label))), end = width - RIGHT;
    const y = scale(yRange, [HEIGHT - bottom, TOP], isLog);
    const across = (name, at) => make("line", { class: name, x1: left, x2: end, y1: at, y2: at });
    plot.replaceChildren(text(0, 12, "start", options.yLabel));
    for (const value of marks) plot.append(across("grid", y(value)), text(left - 6, y(value) + 4, "end", label(value)));
    plot.append(across("axis", HEIGHT - bottom), text((left + end) / 2, HEIGHT - 6, "middle", options.xLabel));
    for (const { y: value } of options.references || []) {
      if (value >= yRange[0] && value <= yRange[1]) plot.append(across("reference", y(value)));
    }
    return { x: xScale(left, end), y, left, end };
  }

  const text = (x, y, anchor, content) => make("text", { x, y, "text-anchor": anchor }, content || "");

  // How wide a text is, roughly where the plot is not laid out.
  function widthOf(plot, content) {
    const node = text(0, 0, "start", content);
    plot.append(node);
    const width = node.getComputedTextLength();
    node.remove();
    return width || content.length * CHARACTER;
  }
  const widest = (plot, contents) => contents.reduce((most, each) => Math.max(most, widthOf(plot, each)), 0);

  // Adds a text around a place, moved to the left where it would leave the picture.
  function centre(plot, x, y, content, width) {
    plot.append(text(Math.min(x, width - widthOf(plot, content) / 2), y, "middle", content));
  }

  // A part of the picture beyond which nothing is drawn, but for half a dot.
  function clip(left, end, bottom) {
    const box = [left - 5, TOP - 5, end - left + 10, HEIGHT - bottom - TOP + 10];
    const [x, y, width, height] = box;
    return make("svg", { x, y, width, height, viewBox: box.join(" "), overflow: "hidden" });
  }

  function path(points, x, y) {
    let pen = "M";
    const steps = points.map(([at, value]) => {
      const isThere = isNumber(value) && isNumber(y(value));
      const step = isThere ? `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}` : "";
      pen = isThere ? "L" : "M";
      return step;
    });
    return steps.join("");
  }

  const lineKind = {
    bottom: 44,
    draw(plot, options, shown, width) {
      const isLog = Boolean(options.yLog), references = options.references || [];
      const values = [...new Set(shown.flatMap(({ each }) => each.points.map(([x]) => x)))].sort((a, b) => a - b);
      const bounds = shown.flatMap(({ each }) => (each.band || []).flatMap(([, low, high]) => [low, high]));
      const heights = [...shown.flatMap(({ each }) => each.points.map(([, y]) => y)), ...references.map(({ y }) => y)];
      const yRange = range([...heights, ...bounds], options.yRange, isLog);
      const ends = values.length ? [values[0], values[values.length - 1]] : [0, 1];
      const xRange = options.xRange || (ends[0] === ends[1] ? [ends[0] - 0.5, ends[1] + 0.5] : ends);
      const toScale = (from, to) => scale(xRange, [from, to]);
      const { x, y, left, end } = axes(plot, options, yRange, width, this.bottom, toScale);
      for (const value of ticks(...xRange, (end - left) / 70, values.every(Number.isInteger))) {
        centre(plot, x(value), HEIGHT - this.bottom + 16, formatted(value), width);
      }
      const corners = xRange.map((at) => `${x(at)} ${y(at)}`).join("L"), window = clip(left, end, this.bottom);
      if (options.diagonal) window.append(make("path", { class: "reference", d: `M${corners}` }));
      for (const { each, index } of shown) drawBand(window, each, index, x, y);
      for (const { each, index } of shown) drawLine(window, each, index, x, y);
      plot.append(window);
      const names = options.xNames || {}, format = options.format || formatted;
      return {
        values,
        positions: values.map(x),
        name: (index) => names[values[index]] || `${options.xLabel || "x"} ${formatted(values[index])}`,
        read: (each, index) => format(nearest(each.points, values[index])),
      };
    },
  };

  function drawBand(plot, each, index, x, y) {
    const isThere = (value) => isNumber(value) && isNumber(y(value));
    const band = (each.band || []).filter(([, low, high]) => isThere(low) && isThere(high));
    if (!band.length) return;
    const upper = path(band.map(([at, , high]) => [at, high]), x, y);
    const lower = path(band.map(([at, low]) => [at, low]).reverse(), x, y).replace("M", "L");
    plot.append(paint(make("path", { class: "band", d: `${upper}${lower}Z` }), "fill", colourOf(each, index)));
  }

  function drawLine(plot, each, index, x, y) {
    const colour = colourOf(each, index), kind = each.thin ? "line thin" : "line";
    const line = make("path", { class: kind, d: path(each.points, x, y), "stroke-dasharray": each.dash || "" });
    plot.append(paint(line, "stroke", colour));
    const circle = ([at, value], radius) => {
      if (!isNumber(value) || !isNumber(y(value))) return;
      plot.append(paint(make("circle", { class: "mark", cx: x(at), cy: y(value), r: radius }), "fill", colour));
    };
    for (const point of each.dots ? each.points : []) circle(point, 3.5);
    for (const point of each.marks || []) circle(point, 5);
  }

  function nearest(points, at) {
    const closer = (a, b) => (a && Math.abs(a[0] - at) <= Math.abs(b[0] - at) ? a : b);
    return (points.reduce(closer, null) || [at, null])[1];
  }

  const barKind = {
    isFilled: true,
    bottom: 60,
    draw(plot, options, shown, width) {
      const { groups, counts = [] } = options, format = options.format || formatted;
      const all = shown.flatMap(({ each }) => [...each.values, ...(each.low || []), ...(each.high || [])]);
      const yRange = range(all, options.yRange || [0, null]);
      const toScale = (from, to) => scale([0, groups.length], [from, to]);
      const { x, y, left, end } = axes(plot, options, yRange, width, this.bottom, toScale);
      const bar = Math.min(28, ((end - left) * 0.8) / Math.max(groups.length * shown.length, 1));
      const clipped = (value) => y(clamp(value, ...yRange));
      const base = clipped(0);
      const labels = groups.map((group, number) => [group, isNumber(counts[number]) ? `n ${formatted(counts[number])}` : ""]);
      const room = (end - left) / groups.length; // all groups are named where there is enough
      const stride = Math.ceil((widest(plot, labels.flat()) + 6) / room);
      groups.forEach((_, number) => {
        const middle = x(number + 0.5);
        labels[number].forEach((label, row) => {
          if (number % stride === 0) plot.append(text(middle, HEIGHT - this.bottom + 15 * (row + 1), "middle", label));
        });
        shown.forEach(({ each, index }, place) => {
          drawBar(plot, each, index, number, middle + (place - shown.length / 2) * bar, bar, base, clipped);
        });
      });
      return {
        values: groups.map((_, number) => number),
        positions: groups.map((_, number) => x(number + 0.5)),
        name: (number) => `${options.xLabel || ""} ${groups[number]}`.trim(),
        read: (each, number) => format(each.values[number]) + interval(each, number, format),
      };
    },
  };

  const hasInterval = (each, number) => each.low && isNumber(each.low[number]) && isNumber(each.high[number]);

  function interval(each, number, format) {
    return hasInterval(each, number) ? ` (${format(each.low[number])} to ${format(each.high[number])})` : "";
  }

  function drawBar(plot, each, index, number, at, width, base, y) {
    if (!isNumber(each.values[number])) return;
    const top = y(each.values[number]), middle = at + width / 2, half = Math.min(4, width / 3);
    const box = { x: at + 1, width: Math.max(1, width - 2), y: Math.min(top, base), height: Math.abs(top - base) };
    plot.append(paint(make("rect", box), "fill", colourOf(each, index)));
    if (!hasInterval(each, number)) return;
    const ends = [y(each.low[number]), y(each.high[number])];
    const caps = ends.map((end) => `M${middle - half} ${end}h${2 * half}`).join("");
    const d = `M${middle} ${ends[0]}V${ends[1]}${caps}`;
    plot.append(make("path", { class: "whisker halo", d }), make("path", { class: "whisker", d }));
  }

  return {
    data,
    line: (element, options) => handle(new Chart(element, options, lineKind)),
    bars: (element, options) => handle(new Chart(element, options, barKind)),
  };

  function handle(chart) {
    return { update: (changes) => chart.update(changes), select: (index) => chart.select(index) };
  }
})();
