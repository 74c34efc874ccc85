"use strict";
// The live page: the text goes to the server whenever it changes, and comes back as words that the network has read.

(() => {
  const review = document.getElementById("review");
  const belief = document.getElementById("belief");
  const problem = document.getElementById("problem");
  const latency = document.getElementById("latency");
  let list = [];
  let start = 0.5;
  let socket = null;
  let sent = null; // the text that is being read, and when it was sent
  let isStale = false; // whether the text has changed since
  let times = [];
  let retried = null; // a text that was refused and asked for again
  let pause = null; // after which the units of a word that nobody chose are asked for
  const asked = new Map(); // by the word's index: who waits for its units

  const reading = words.create({
    text: document.getElementById("text"),
    panel: document.getElementById("panel"),
    units: (word, index, isReaders) => (isReaders ? ask(word, index) : askLater(word, index)),
    measures: (word, index) => [
      ["belief before", (index ? list[index - 1].probability : start).toFixed(3)],
      ["belief after", word.probability.toFixed(3)],
      ["change of the logit", words.signed(word.change)],
    ],
    onChoose: (index) => chart.select(index < 0 ? null : index + 1),
  });
  const chart = charts.line(document.getElementById("curve"), {
    title: "belief that the review is positive, after each word",
    xLabel: "words read",
    yLabel: "probability",
    yRange: [0, 1],
    series: series(),
    references: [{ y: 0.5, label: "undecided" }],
    onHover: (index) => index !== null && reading.choose(index - 1),
  });

  function series() {
    return [{ name: "belief", points: [[0, start], ...list.map((word, index) => [index + 1, word.probability])] }];
  }

  // What is shown is of an older text, or of none: no verdict beside it, and all of it is greyed.
  function fail(message) {
    problem.textContent = list.length ? `${message} Greyed: the last text that was read.` : message;
    belief.textContent = "…";
    document.body.classList.add("outdated");
  }

  // While one writes, another word may be the strongest at every key.
  function askLater(word, index) {
    clearTimeout(pause);
    return new Promise((resolve) => {
      pause = setTimeout(() => resolve(ask(word, index)), 150);
    });
  }

  // Gates and states stay with the server until somebody looks at a word.
  function ask(word, index) {
    if (word.status === "dropped" || !socket || socket.readyState !== WebSocket.OPEN) return {};
    return new Promise((resolve) => {
      asked.set(index, resolve);
      socket.send(JSON.stringify({ word: index }));
    });
  }

  function send() {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    if (sent) {
      isStale = true; // one at a time: what is written meanwhile goes together
      return;
    }
    isStale = false;
    sent = { text: review.value, at: performance.now() };
    socket.send(JSON.stringify({ text: review.value }));
  }

  function receive(message) {
    if ("word" in message) {
      if (asked.has(message.word)) asked.get(message.word)(message.units || {});
      asked.delete(message.word);
      return;
    }
    if (!sent) return;
    const { text, at } = sent;
    sent = null;
    if (message.error) {
      fail(message.error);
      if (text !== retried) setTimeout(send, 1000); // there may have been too many requests
      retried = text;
    } else {
      problem.textContent = "";
      document.body.classList.remove("outdated");
      note(performance.now() - at);
      list = [...list.slice(0, message.unchanged), ...message.words];
      start = message.start_probability;
      belief.textContent = message.label ? `${message.label} (P(positive) ${message.probability.toFixed(3)})` : "…";
      chart.update({ series: series() });
      reading.show(text, list.map((word) => ({ ...word, weight: word.change / 2 })), message.unchanged);
    }
    if (isStale) send();
  }

  // Milliseconds from a key to its answer, the median of the last ones.
  function note(milliseconds) {
    times = [...times.slice(-98), milliseconds];
    const sorted = [...times].sort((one, other) => one - other);
    latency.textContent = `Median of the last ${times.length} answers: ${sorted[Math.floor(times.length / 2)].toFixed(1)} ms.`;
    latency.dataset.milliseconds = sorted[Math.floor(times.length / 2)];
  }

  function connect() {
    socket = new WebSocket(`ws://${location.host}/read`);
    socket.addEventListener("open", () => {
      problem.textContent = "";
      list = [];
      sent = null;
      send();
    });
    socket.addEventListener("message", (event) => receive(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      sent = null;
      asked.clear();
      if (event.code === 1009) {
        fail("This text is too long to be sent.");
        review.addEventListener("input", connect, { once: true }); // the same text again would be refused again
      } else {
        fail(event.reason || "The connection is lost; trying again.");
        setTimeout(connect, 1000);
      }
    });
  }

  review.addEventListener("input", send);
  connect();
})();
