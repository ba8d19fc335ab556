// Each agent's latent as a heat map: a row per categorical, a column per class.

const MEMORY = 0.94;

class Latents {
  constructor(box, hello) {
    this.rows = hello.categoricals;
    this.columns = hello.classes;
    this.tiles = [...Array(hello.agents).keys()].map((slot) => {
      const tile = document.createElement("div");
      tile.className = "tile";
      const name = document.createElement("h3"), dot = document.createElement("i");
      dot.style.background = `rgb(${hello.colours[slot].join(",")})`;
      name.append(dot, `Agent ${slot}`);
      const canvas = document.createElement("canvas");
      canvas.width = this.columns;
      canvas.height = this.rows;
      const text = document.createElement("p");
      tile.append(name, canvas, text);
      box.append(tile);
      return { tile, canvas, text, colour: hello.colours[slot], heat: new Float32Array(this.rows * this.columns) };
    });
  }

  tell(event) {
    this.tiles.forEach((tile, slot) => {
      const present = event.present[slot], reward = event.reward[slot], waited = event.waited_ms[slot];
      tile.tile.classList.toggle("away", !present);
      const waiting = waited === null ? "" : `, waited ${waited.toFixed(1)}\u00a0ms`;
      tile.text.textContent = !present ? "its part is over"
        : `action ${inWords(event.action[slot])}, reward ${reward > 0 ? "+" : ""}${reward.toFixed(2)}${waiting}`;
      const said = event.latent && event.latent[slot][0] >= 0 ? event.latent[slot] : null;
      if (said) this.paint(tile, said);
    });
  }

  paint({ canvas, heat, colour }, said) {
    for (let cell = 0; cell < heat.length; cell++) heat[cell] *= MEMORY;
    said.forEach((id, row) => { heat[row * this.columns + id] += 1 - MEMORY; });
    const context = canvas.getContext("2d"), image = context.createImageData(this.columns, this.rows);
    for (let cell = 0; cell < heat.length; cell++) {
      const now = said[Math.floor(cell / this.columns)] === cell % this.columns;
      const share = Math.min(1, Math.sqrt(heat[cell]));
      for (let channel = 0; channel < 3; channel++) {
        const pale = 255 - share * 0.75 * (255 - colour[channel]);
        image.data[4 * cell + channel] = now ? 0.72 * colour[channel] : pale;
      }
      image.data[4 * cell + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}
