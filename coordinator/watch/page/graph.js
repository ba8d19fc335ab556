// The team as a graph: a disc per agent, a curve from each speaker to each listener that is in hearing.

const LIT_MS = 600, TRAVEL_MS = 450, DOTS_AT_MOST = 130;
const MASKED = "#d3200c", REFERENCE = "#b07400", QUIET = "#b4bfca", INK = "#1d2733", SOFT = "#5c6b7a";

// A numbered action, or a continuous one between -1 and 1.
function inWords(action) {
  return Array.isArray(action) ? action.map((value) => value.toFixed(2)).join(" ") : action;
}

// A canvas whose pixels are those of the screen; returns its context, with lengths in CSS pixels.
function sized(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, box.width, box.height);
  return { context, width: box.width, height: box.height };
}

const LABEL_FONT = "12px system-ui, sans-serif", LABEL_GAP = 10, LEAST_RADIUS = 40;

class Graph {
  constructor(canvas, hello) {
    this.canvas = canvas;
    this.agents = hello.agents;
    this.colours = hello.colours.map((colour) => colour.join(","));
    this.edges = new Map();
    this.told = null;
    this.still = false;
    this.toldAt = -1;
  }

  tell(event, now) {
    this.told = event;
    this.toldAt = now;
    for (const edge of this.edges.values()) edge.inHearing = false;
    for (const [listener, speaker, read, masked, lost, late] of event.links) {
      const key = listener * this.agents + speaker;
      let edge = this.edges.get(key);
      if (!edge) this.edges.set(key, (edge = { listener, speaker, read: -1e9, masked: -1e9, lost: -1e9, sent: -1e9 }));
      edge.inHearing = true;
      if (read) edge.read = now;
      if (read && now - edge.sent > TRAVEL_MS) edge.sent = now;
      if (lost || late) edge.lost = now;
      else if (masked) edge.masked = now;
      // What is not there must not look as if it were.
      if (!read && (lost || late || masked)) edge.read = edge.sent = -1e9;
    }
  }

  draw(now) {
    const { context, width, height } = sized(this.canvas);
    const disc = Math.max(9, Math.min(24, 150 / this.agents));
    const labels = this.labels();
    context.font = LABEL_FONT;
    const widest = Math.max(0, ...labels.map((text) => context.measureText(text).width));
    // Beside a disc there must be room for its label; where labels are too long for that, they go below.
    const beside = Math.min(width / 2 - widest - LABEL_GAP, height / 2 - 20) - disc;
    const below = beside < LEAST_RADIUS;
    const centre = [width / 2, height / 2], radius = below ? Math.min(width / 2, height / 2 - 20) - 4 - disc : beside;
    const at = [...Array(this.agents).keys()].map((slot) => {
      const angle = (2 * Math.PI * slot) / this.agents - (this.agents === 2 ? Math.PI : Math.PI / 2);
      return [centre[0] + radius * Math.cos(angle), centre[1] + radius * Math.sin(angle)];
    });
    const dots = this.edges.size <= DOTS_AT_MOST;
    const trouble = (edge) => Math.max(edge.masked, edge.lost);  // on top of what went well
    const edges = [...this.edges.values()].sort((one, other) => trouble(one) - trouble(other));
    for (const edge of edges) this.drawEdge(context, edge, at, disc, now, dots);
    at.forEach((place, slot) => this.drawAgent(context, slot, place, disc));
    at.forEach((place, slot) => this.drawLabel(context, slot, labels[slot], place, { centre, disc, width, below }));
  }

  // What each agent did; nothing where nobody could read it.
  labels() {
    const told = this.told;
    if (!told || this.agents > 12) return [];
    return [...Array(this.agents).keys()].map((slot) =>
      !told.present[slot] ? "done" : told.acted[slot] ? `action ${inWords(told.action[slot])}` : "no answer");
  }

  drawEdge(context, edge, at, disc, now, dots) {
    // What is paused stays lit, so that it can be looked at.
    const lit = (since) => (this.still && since === this.toldAt ? 1 : Math.max(0, 1 - (now - since) / LIT_MS));
    const read = lit(edge.read), masked = lit(edge.masked), lost = lit(edge.lost);
    if (!edge.inHearing && read + masked + lost === 0) return;
    const curve = this.curve(at[edge.speaker], at[edge.listener], disc);
    if (edge.inHearing) this.stroke(context, curve, QUIET, 1, 0.7);
    const width = (1.5 + 3 * read) * Math.min(1, 6 / this.agents);
    if (read) this.stroke(context, curve, `rgb(${this.colours[edge.speaker]})`, width, 0.25 + 0.65 * read);
    if (masked) this.stroke(context, curve, MASKED, 2 + 3.5 * masked, 0.3 + 0.7 * masked);
    if (lost) {
      context.setLineDash([7, 6]);
      this.stroke(context, curve, MASKED, 1.5 + 2.5 * lost, 0.3 + 0.7 * lost);
      context.setLineDash([]);
    }
    const share = (now - edge.sent) / TRAVEL_MS;
    if (dots && share >= 0 && share <= 1) {
      const [x, y] = this.along(curve, share);
      context.fillStyle = `rgb(${this.colours[edge.speaker]})`;
      context.beginPath();
      context.arc(x, y, 4.5, 0, 2 * Math.PI);
      context.fill();
    }
  }

  // A curve beside the straight line, so that the two directions of a pair do not cover one another.
  curve([fromX, fromY], [toX, toY], disc) {
    const dx = toX - fromX, dy = toY - fromY, length = Math.hypot(dx, dy) || 1, bend = Math.min(38, 0.13 * length);
    const middle = [(fromX + toX) / 2 - (dy / length) * bend, (fromY + toY) / 2 + (dx / length) * bend];
    const shorten = (x, y, gap) => {
      const ax = middle[0] - x, ay = middle[1] - y, away = Math.hypot(ax, ay) || 1;
      return [x + (ax / away) * gap, y + (ay / away) * gap];
    };
    return { from: shorten(fromX, fromY, disc + 2), middle, to: shorten(toX, toY, disc + 6) };
  }

  along({ from, middle, to }, share) {
    const rest = 1 - share;
    const mix = (axis) => rest * rest * from[axis] + 2 * rest * share * middle[axis] + share * share * to[axis];
    return [mix(0), mix(1)];
  }

  stroke(context, { from, middle, to }, colour, width, alpha) {
    context.globalAlpha = alpha;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...from);
    context.quadraticCurveTo(...middle, ...to);
    context.stroke();
    const angle = Math.atan2(to[1] - middle[1], to[0] - middle[0]), size = 5 + width;
    context.beginPath();
    for (const side of [0, 2.6, -2.6]) context.lineTo(to[0] + size * Math.cos(angle + side), to[1] + size * Math.sin(angle + side));
    context.fill();
    context.globalAlpha = 1;
  }

  drawAgent(context, slot, [x, y], disc) {
    const told = this.told, present = !told || told.present[slot], acted = !told || told.acted[slot];
    context.globalAlpha = present ? 1 : 0.3;
    context.fillStyle = present && acted ? `rgb(${this.colours[slot]})` : "#9aa7b3";
    context.beginPath();
    context.arc(x, y, disc, 0, 2 * Math.PI);
    context.fill();
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = "white";
    context.font = `600 ${Math.round(disc * 0.85)}px system-ui, sans-serif`;
    context.fillText(slot, x, y + 1);
    context.globalAlpha = 1;
  }

  drawLabel(context, slot, text, [x, y], { centre, disc, width, below }) {
    if (!text) return;
    const told = this.told, present = told.present[slot];
    context.globalAlpha = present ? 1 : 0.3;
    context.fillStyle = told.acted[slot] || !present ? SOFT : MASKED;
    context.font = LABEL_FONT;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const half = context.measureText(text).width / 2;
    let middle = x, height = y + disc + 10;
    if (!below) {
      // Outside the ring, where no line passes.
      const away = Math.hypot(x - centre[0], y - centre[1]) || 1;
      const aside = (x - centre[0]) / away, down = (y - centre[1]) / away;
      middle = x + aside * (disc + 6) + (aside > 0.3 ? half : aside < -0.3 ? -half : 0);
      height = y + down * (disc + 14);
    }
    context.fillText(text, Math.max(2, Math.min(width - 2 - 2 * half, middle - half)), height);
    context.globalAlpha = 1;
  }

}
