// Whether a text fits into a cell, without asking for the page's layout. What fits need not be cut off: each box that cuts
// costs the browser a layer's worth of work in every frame that moves it, and a grid has hundreds.

const sans = "13px system-ui, -apple-system, 'Noto Sans', 'Liberation Sans', sans-serif";
const mono = "12px ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', monospace";
// What is not ASCII may be as wide as it is high, and somewhat more.
const wide = 18;

let widths: Float64Array | undefined;

/** Widths of the characters of ASCII, the larger of both fonts that cells have. */
function measured(): Float64Array {
  const out = new Float64Array(128).fill(wide);
  const pen = document.createElement('canvas').getContext('2d');
  if (!pen) return out;
  for (const font of [sans, mono]) {
    pen.font = font;
    for (let c = 32; c < 127; c++) {
      const w = pen.measureText(String.fromCharCode(c)).width;
      out[c] = font === sans ? w : Math.max(out[c], w);
    }
  }
  return out;
}

/** Whether a text is surely narrower than so many pixels. */
export function fits(text: string, pixels: number): boolean {
  // Nothing is narrower than this on the average.
  if (text.length * 7 > pixels) return false;
  widths ??= measured();
  let left = pixels;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    left -= c < 128 ? widths[c] : wide;
    if (left < 0) return false;
  }
  return true;
}
