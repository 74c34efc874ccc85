"use strict";
// The page of one explained text.

(() => {
  const data = charts.data();
  const largest = Math.max(1e-9, ...data.words.map((word) => Math.abs(word.contribution)));
  const list = data.words.map((word) => ({ ...word, weight: word.contribution / largest }));
  const named = { ...data.gates, ...data.states };
  const reading = words.create({
    text: document.getElementById("text"),
    panel: document.getElementById("panel"),
    units: (word) =>
      word.step === null
        ? {}
        : Object.fromEntries(Object.entries(named).map(([name, steps]) => [name, steps[word.step]])),
    measures: (word, index) => [
      [`P(${data.of_class}) before`, (index ? data.words[index - 1].probability : data.start_probability).toFixed(3)],
      [`P(${data.of_class}) after`, word.probability.toFixed(3)],
      ["contribution", words.signed(word.contribution)],
      [`${data.classes.length === 2 ? "logit" : "log-odds"} without it`, words.signed(-word.occlusion)],
    ],
    onChoose: (index) => chart.select(index < 0 ? null : index + 1),
  });

  const chart = words.curve(words.points(data.start_probability, data.words), reading, data.of_class, data.classes.length === 2);
  reading.show(data.text, list);

  const body = document.getElementById("rows");
  data.words.forEach((word, index) => {
    const row = words.make("tr");
    const name = words.make("th", "text", reading.name(index));
    name.scope = "row";
    const cells = [String(index + 1), word.probability.toFixed(4), words.signed(word.contribution, 4), words.signed(word.occlusion, 4)];
    row.append(name, ...cells.map((cell) => words.make("td", "", cell)), words.make("td", "text", word.status));
    body.append(row);
  });
})();
