"use strict";
// A text whose words can be chosen with the mouse, a finger or the arrow keys. If there are words, one is always chosen:
// the strongest, or the reader's. Texts are set as text, so they can't become markup.

const words = (() => {
  const STATUS = {
    known: "",
    unknown: "not in the vocabulary: read as the unknown word",
    dropped: "never seen in training: left out",
    cut: "before the last words, which the model reads: left out",
  };

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // text: element of the words; panel: element that describes the chosen one; onChoose: (index), -1 for none;
  // measures: (word, index) -> [[name, value], ...];
  // units: (word, index, isReaders) -> {name: [number, ...]} of gates and states, or a promise of it; isReaders is true
  // if the reader chose the word.
  function create({ text, panel, units, measures, onChoose = () => {} }) {
    let shown = [];
    let spans = [];
    let chosen = -1;
    let isReaders = false;
    let turn = 0; // counts requests for units, so a late answer is not shown beside another word

    // unchanged: how many words at the front were shown before; the reader's choice among them is kept.
    function show(content, list, unchanged = 0) {
      const kept = isReaders && chosen < unchanged ? chosen : -1;
      shown = list;
      chosen = -1;
      text.replaceChildren(written(content));
      text.removeAttribute("aria-activedescendant");
      isReaders = kept >= 0;
      if (list.length) return select(isReaders ? kept : strongest());
      panel.replaceChildren();
      onChoose(-1);
    }

    function written(content) {
      const signs = Array.from(content); // places count code points; JavaScript counts UTF-16 units
      const piece = (from, to) => signs.slice(from, to).join("");
      const parts = document.createDocumentFragment();
      let end = 0;
      spans = shown.map((word, index) => {
        parts.append(piece(end, word.start));
        const span = make("span", `word ${word.status}`, piece(word.start, word.end));
        span.id = `word-${index}`;
        span.dataset.index = index;
        paint(span, word.weight);
        parts.append(span);
        end = word.end;
        return span;
      });
      parts.append(piece(end));
      return parts;
    }

    function paint(span, weight) {
      if (!weight) return;
      span.classList.add(weight > 0 ? "for" : "against");
      span.style.setProperty("--strength", `${Math.round(Math.min(Math.abs(weight), 1) * 70)}%`);
    }

    // The word with the largest weight, the first of equals.
    function strongest() {
      return shown.reduce((best, { weight }, index) => (Math.abs(weight) > Math.abs(shown[best].weight) ? index : best), 0);
    }

    // What a reader does.
    function choose(index) {
      if (index < 0 || index >= shown.length || index === chosen) return;
      isReaders = true;
      select(index);
    }

    function select(index) {
      if (spans[chosen]) spans[chosen].classList.remove("chosen");
      chosen = index;
      spans[index].classList.add("chosen");
      text.setAttribute("aria-activedescendant", spans[index].id);
      reveal(spans[index]);
      panel.setAttribute("aria-live", isReaders ? "polite" : "off");
      describe(shown[index], index);
      onChoose(index);
    }

    // Scrolls the text, and not the page.
    function reveal(span) {
      const inner = span.getBoundingClientRect(), outer = text.getBoundingClientRect();
      if (inner.top < outer.top) text.scrollTop += inner.top - outer.top - 8;
      if (inner.bottom > outer.bottom) text.scrollTop += inner.bottom - outer.bottom + 8;
    }

    function describe(word, index) {
      const heading = make("h3", "", spans[index].textContent);
      const list = make("dl");
      for (const [name, value] of measures(word, index)) list.append(make("dt", "", name), make("dd", "", value));
      const note = STATUS[word.status] ? [make("p", "muted", STATUS[word.status])] : [];
      const strips = panel.querySelector(".strips") || make("div", "strips"); // the last ones, until there are others
      strips.classList.add("outdated");
      panel.replaceChildren(heading, list, ...note, strips);
      const mine = ++turn;
      Promise.resolve(units(word, index, isReaders)).then((named) => {
        if (mine !== turn) return;
        strips.classList.remove("outdated");
        strips.replaceChildren(...Object.entries(named).map(([name, values]) => strip(name, values)));
      });
    }

    // One cell for each unit: a gate from shut to open, a candidate or state from its lowest to its highest.
    function strip(name, values) {
      const isSigned = ["candidate", "hidden", "memory"].includes(name);
      const largest = isSigned ? Math.max(1, ...values.map(Math.abs)) : 1;
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const row = make("div", "strip");
      row.append(make("span", "name", name));
      const cells = make("span", "cells");
      cells.setAttribute("role", "img");
      cells.setAttribute("aria-label", `${name}: mean ${mean.toFixed(2)} over ${values.length} units`);
      values.forEach((value, unit) => {
        const cell = make("span", value < 0 ? "cell low" : "cell");
        cell.style.setProperty("--strength", `${Math.round((Math.abs(value) / largest) * 100)}%`);
        cell.title = `${name}, unit ${unit}: ${value.toFixed(2)}`;
        cells.append(cell);
      });
      row.append(cells, make("span", "mean", mean.toFixed(2)));
      return row;
    }

    const indexOf = (target) => (target.closest && target.closest(".word") ? Number(target.closest(".word").dataset.index) : -1);
    text.addEventListener("pointerover", (event) => choose(indexOf(event.target)));
    text.addEventListener("click", (event) => choose(indexOf(event.target)));
    text.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 10, ArrowLeft: -1, ArrowUp: -10 };
      const targets = { Home: 0, End: shown.length - 1 };
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (!(event.key in steps) && !(event.key in targets)) return;
      event.preventDefault();
      const next = event.key in steps ? chosen + steps[event.key] : targets[event.key];
      choose(Math.max(0, Math.min(shown.length - 1, next)));
    });
    return { show, choose, name: (index) => spans[index].textContent };
  }

  const signed = (value, digits = 3) => (value > 0 ? "+" : "") + value.toFixed(digits);

  const labels = (positive) => ({
    title: `Probability that the review is ${positive}, after each word`,
    yLabel: `P(${positive})`,
  });

  const points = (start, list) => [[0, start], ...list.map((word, index) => [index + 1, word.probability])];

  // The curve over the words of `reading`, which chooses the word that the reader points at.
  // With two classes, a probability of a half is undecided.
  const curve = (points, reading, positive, isOfTwo = true) =>
    charts.line(document.getElementById("curve"), {
      ...labels(positive),
      xLabel: "words read",
      yRange: [0, 1],
      points,
      references: isOfTwo ? [{ y: 0.5, label: "undecided" }] : [],
      onHover: (index) => index !== null && reading.choose(index - 1),
    });
  return { create, curve, labels, make, points, signed };
})();
