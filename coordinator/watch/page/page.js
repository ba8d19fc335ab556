// The page: takes the stream of events, tells its parts, and draws them when the browser is ready to.

const KEPT_STEPS = 300, KEPT_EPISODES = 200;
const named = (id) => document.getElementById(id);
const page = { hello: null, paused: false, over: false, connected: false, changed: true, means: {}, ended: 0 };

function begin(hello) {
  Object.assign(page, { hello, paused: hello.paused, means: {}, ended: 0 });
  const message = hello.categoricals > 0;
  document.title = `${hello.environment}, Heliograph`;
  named("title").textContent = hello.title;
  const talk = message ? `latents of ${hello.categoricals} × ${hello.classes} classes, ${hello.codec}` : "no messages";
  named("subtitle").textContent = [talk, hello.channel && `simulated channel: ${hello.channel}`].filter(Boolean).join("; ");
  document.querySelector(".board").classList.toggle("unseen", !hello.renders);
  named("latents").hidden = !message;
  named("latents-text").textContent =
    `Each row is one of a latent's ${hello.categoricals} categoricals, each column one of its ${hello.classes} classes. ` +
    "Dark is what was said at the newest step, pale what was said lately.";
  named("tiles").replaceChildren();
  named("tiles").style.setProperty("--widest", hello.agents > 6 ? "11rem" : "15.5rem");
  page.graph = new Graph(named("graph"), hello);
  page.latents = message ? new Latents(named("tiles"), hello) : null;
  const deadline = hello.message_deadline_s * 1e3;
  page.bits = new Chart(named("bits-chart"), { lines: [{ colour: "#0072b2" }], kept: KEPT_STEPS });
  page.margin = new Chart(named("margin-chart"), {
    lines: [{ colour: "#9cc3df" }, { colour: "#0072b2" }], kept: KEPT_STEPS, reference: deadline, referenceLabel: "deadline",
    least: deadline, lowest: 0.01,
  });
  page.score = new Chart(named("score-chart"), {
    lines: [{ colour: "#8fb7d6", dots: true }, { colour: "#0072b2" }], kept: KEPT_EPISODES,
    reference: hello.blind_bound,
    referenceLabel: hello.blind_bound_measured ? "best found without hearing" : "best without hearing",
    least: hello.measure === "return" ? 0 : 1,
  });
  named("margin-text").textContent =
    `Dark: the longest wait for messages, in ms; ${short(deadline)} are allowed. Pale: the whole step. Red: masked.`;
  const measure = { won: "won (1) or lost (0)", arrived: "share arrived", return: "return per agent" }[hello.measure];
  named("score-text").textContent = `Each finished episode: ${measure || hello.measure}. Line: the mean so far.`;
  ended(hello.outcomes);
  status();
}

function steps(event) {
  page.newest = event;
  const now = performance.now();
  page.graph.tell(event, now);
  if (page.latents) page.latents.tell(event);
  for (const [, , bits, latency, waited, , masked] of event.trail) {
    page.bits.add([bits]);
    page.margin.add([latency, waited], masked > 0);
  }
  const last = event.trail[event.trail.length - 1];
  named("bits").textContent = `${last[2]}`;
  const allowed = page.hello.message_deadline_s * 1e3;
  named("margin").textContent = last[4] === null ? "" : `${(allowed - last[4]).toFixed(1)} ms`;
  status();
}

function ended(outcomes) {
  for (const [name, , outcome] of outcomes) {
    const mean = (page.means[name] = page.means[name] || { sum: 0, count: 0 });
    mean.sum += outcome;
    mean.count += 1;
    page.ended += 1;
    page.score.add([outcome, mean.sum / mean.count]);
  }
  named("score").textContent = Object.entries(page.means)
    .map(([name, mean]) => `${page.hello.passes[name]} ${(mean.sum / mean.count).toFixed(3)} (${mean.count})`)
    .join(", ");
}

function status() {
  const { hello, newest, over, connected, paused } = page;
  const [kind, text] = over ? ["idle", "the run is over"] : !connected ? ["gone", "no connection"]
    : paused ? ["paused", "paused, nodes wait"] : ["running", "running"];
  named("state").className = `pill ${kind}`;
  named("state").textContent = text;
  if (hello && newest) {
    const total = hello.episodes * Object.keys(hello.passes).length;
    named("place").textContent = `${hello.passes[newest.pass]}, episode ${newest.episode + 1} of ${total}, step ${newest.step + 1}`;
  }
  named("pause").textContent = paused ? "Resume" : "Pause";
  named("pause").disabled = named("step").disabled = over || !connected;
  page.changed = true;
}

async function control(name) {
  const answer = await fetch(`control/${name}`, { method: "POST", headers: { "x-heliograph-watch": "page" } });
  if (answer.ok) page.paused = (await answer.json()).paused;
  status();
}

const HEARD = {
  hello: begin,
  steps,
  outcomes: (event) => ended(event.outcomes),
  frame: (event) => { named("frame").src = `data:image/png;base64,${event.png}`; },
  state: (event) => { page.paused = event.paused; status(); },
  over: () => { page.over = true; stream.close(); status(); },
};

const stream = new EventSource("events");
stream.onopen = () => { page.connected = true; status(); };
stream.onerror = () => { page.connected = false; status(); };
stream.onmessage = (message) => {
  const event = JSON.parse(message.data);
  HEARD[event.kind](event);
};
named("pause").onclick = () => control(page.paused ? "resume" : "pause");
named("step").onclick = () => control("step");

function draw(now) {
  if (page.graph) {
    page.graph.still = page.paused || page.over;
    page.graph.draw(now);
    if (page.changed) for (const chart of [page.bits, page.margin, page.score]) chart.draw();
    page.changed = false;
  }
  requestAnimationFrame(draw);
}
window.onresize = () => { page.changed = true; };
requestAnimationFrame(draw);
