"use strict";
// The live page: each change of the text goes to the server, which sends back the words as the network has read them.

(() => {
  const review = document.getElementById("review");
  const answer = document.getElementById("answer");
  let positive = answer.dataset.positive; // the class whose probability is shown
  const chosenClass = document.getElementById("of-class"); // with more than two classes
  const problem = document.getElementById("problem");
  const latency = document.getElementById("latency");
  let list = [];
  let start = 0.5;
  let socket = null;
  let sent = null; // the text that is being read, and when it was sent
  let isStale = false; // whether the text has changed since
  let times = [];
  let retried = null; // a text that was refused and sent again
  let pause = null; // before the units of a word are requested that the reader did not choose
  const asked = new Map(); // index of a word -> what receives its units

  const reading = words.create({
    text: document.getElementById("text"),
    panel: document.getElementById("panel"),
    units: (word, index, isReaders) => (isReaders ? ask(word, index) : askLater(word, index)),
    measures: (word, index) => [
      [`P(${positive}) before`, (index ? list[index - 1].probability : start).toFixed(3)],
      [`P(${positive}) after`, word.probability.toFixed(3)],
      [chosenClass ? "change of the log-odds" : "change of the logit", words.signed(word.change)],
    ],
    onChoose: (index) => chart.select(index < 0 ? null : index + 1),
  });
  const chart = words.curve(words.points(start, list), reading, positive, !chosenClass);

  // Shows an error. The page still shows an older text, or none: it is greyed, and no prediction stands beside it.
  function fail(message) {
    problem.textContent = list.length ? `${message} The last text that was read is greyed.` : message;
    answer.textContent = "…";
    document.body.classList.add("outdated");
  }

  // While the reader writes, the strongest word can change at every key.
  function askLater(word, index) {
    clearTimeout(pause);
    return new Promise((resolve) => {
      pause = setTimeout(() => resolve(ask(word, index)), 150);
    });
  }

  // Gates and states stay on the server until the reader looks at a word.
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
      isStale = true; // one request at a time: later changes are sent together
      return;
    }
    isStale = false;
    sent = { text: review.value, at: performance.now() };
    const of = chosenClass && chosenClass.value ? { class: chosenClass.value } : {};
    socket.send(JSON.stringify({ text: review.value, ...of }));
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
      if (text !== retried) setTimeout(send, 1000); // the rate limit may have been reached
      retried = text;
    } else {
      problem.textContent = "";
      document.body.classList.remove("outdated");
      note(performance.now() - at);
      list = [...list.slice(0, message.unchanged), ...message.words];
      start = message.start_probability;
      if (message.of_class !== positive) rename(message.of_class);
      if (message.probabilities) rank(message.probabilities);
      answer.textContent = message.label ? `${message.label} (P(${positive}) ${message.probability.toFixed(3)})` : "…";
      chart.update({ ...words.labels(positive), points: words.points(start, list) });
      reading.show(text, list.map((word) => ({ ...word, weight: word.change / 2 })), message.unchanged);
    }
    if (isStale) send();
  }

  // Shows another class.
  function rename(name) {
    positive = name;
    document.querySelectorAll(".legend .of-class").forEach((node) => (node.textContent = name));
  }

  // Lists the likeliest classes, the likeliest one first.
  function rank(probabilities) {
    const likeliest = Object.entries(probabilities).sort(([, one], [, other]) => other - one);
    const rows = likeliest.slice(0, 12).map(([name, probability]) => {
      const row = words.make("li"), bar = words.make("meter");
      bar.value = probability;
      bar.setAttribute("aria-label", `P(${name})`);
      row.append(words.make("span", "name", name), bar, words.make("span", "value", probability.toFixed(3)));
      return row;
    });
    document.getElementById("classes").replaceChildren(...rows);
  }

  // Shows the median time from a key to its answer.
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
        fail("The text is too long to send.");
        review.addEventListener("input", connect, { once: true }); // the same text would be refused again
      } else {
        fail(event.reason || "The connection is lost; connecting again.");
        setTimeout(connect, 1000);
      }
    });
  }

  review.addEventListener("input", send);
  if (chosenClass) chosenClass.addEventListener("change", send);
  connect();
})();
