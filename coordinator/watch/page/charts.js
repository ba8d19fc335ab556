// Numbers over time: the newest on the right, on a scale from zero to a round number above the largest, or, where they
// are of very different sizes, on one that is logarithmic from `lowest` on.

function roundAbove(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 5, 7.5, 10].map((factor) => factor * power).find((candidate) => candidate >= value);
}

function short(value) {
  const size = Math.abs(value);
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : size >= 1 ? value.toFixed(1) : value.toFixed(2);
}

class Chart {
  // `lines` are { colour, label, dots }; a point has a value or null for each, and `marked` draws a red tick below it.
  constructor(canvas, { lines, kept, reference = null, referenceLabel = "", least = 0, lowest = null }) {
    Object.assign(this, { canvas, lines, kept, reference, referenceLabel, least, lowest });
    this.points = [];
    this.top = 1;
  }

  add(values, marked = false) {
    this.points.push({ values, marked });
    if (this.points.length > this.kept) this.points.splice(0, this.points.length - this.kept);
  }

  draw() {
    const { context, width, height } = sized(this.canvas), left = 46, right = width - 6, top = 8, bottom = height - 10;
    const values = this.points.flatMap((point) => point.values).filter((value) => value !== null);
    const low = Math.min(0, ...values), wanted = roundAbove(Math.max(this.least, ...values, 0));
    // The scale grows at once and shrinks only when it is far too large, so that it does not flicker.
    if (wanted > this.top || wanted < 0.4 * this.top) this.top = wanted;
    const floor = low < 0 ? -roundAbove(-low) : 0;
    let ticks = [floor, (floor + this.top) / 2, this.top], share = (value) => (value - floor) / (this.top - floor);
    if (this.lowest !== null) {
      const decades = Math.ceil(Math.log10(Math.max(this.least, ...values) / this.lowest));
      this.top = this.lowest * 10 ** decades;
      ticks = [...Array(decades + 1).keys()].map((power) => this.lowest * 10 ** power);
      share = (value) => Math.max(0, Math.log10(Math.max(value, this.lowest) / this.lowest) / decades);
    }
    const y = (value) => bottom - share(value) * (bottom - top);
    const places = Math.max(60, Math.min(this.kept, this.points.length));
    const x = (index) => right - ((this.points.length - 1 - index) / (places - 1)) * (right - left);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of ticks) {
      context.fillStyle = SOFT;
      context.fillText(short(value), left - 6, y(value));
      context.fillStyle = "#e6ebf0";
      context.fillRect(left, Math.round(y(value)), right - left, 1);
    }
    if (this.reference !== null && this.reference <= this.top) this.drawReference(context, y(this.reference), left, right);
    this.lines.forEach((line, number) => this.drawLine(context, line, number, x, y));
    context.fillStyle = MASKED;
    this.points.forEach((point, index) => { if (point.marked) context.fillRect(x(index) - 1, bottom + 2, 2, 7); });
  }

  drawReference(context, y, left, right) {
    context.strokeStyle = REFERENCE;
    context.lineWidth = 1.2;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(right, y);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = REFERENCE;
    context.textAlign = "left";
    context.fillText(this.referenceLabel, left + 4, y > 20 ? y - 8 : y + 9);
    context.textAlign = "right";
  }

  drawLine(context, line, number, x, y) {
    context.strokeStyle = context.fillStyle = line.colour;
    context.lineWidth = 1.6;
    context.beginPath();
    let open = false;
    this.points.forEach((point, index) => {
      const value = point.values[number];
      if (value === null) open = false;
      else if (line.dots) {
        context.moveTo(x(index) + 2.5, y(value));
        context.arc(x(index), y(value), 2.5, 0, 2 * Math.PI);
      } else {
        if (open) context.lineTo(x(index), y(value));
        else context.moveTo(x(index), y(value));
        open = true;
      }
    });
    if (line.dots) context.fill();
    else context.stroke();
  }
}
