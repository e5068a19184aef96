// Where does a budget lie on a slider or an axis? Logarithmic scales, their ticks and readable values on them.

/** The positions of a range input. */
export const POSITIONS = 1000;

/** A logarithmic scale from [low, high] to [0, 1] and back. */
export function logScale(low, high) {
  const ratio = Math.log(high / low);
  return {
    low,
    high,
    at: (value) => Math.log(value / low) / ratio,
    value: (share) => low * Math.exp(share * ratio),
  };
}

/** The nearest value that is nice to read, of three digits. */
export const readable = (value) => Number(value.toPrecision(3));

/** The same, never below the value. */
export function readableAbove(value) {
  const rounded = readable(value);
  return rounded >= value ? rounded : readable(value + 10 ** (Math.floor(Math.log10(value)) - 2));
}

/** 1, 2 and 5 times powers of ten within the scale; powers of ten and halves alone where those are many. */
export function ticks(scale) {
  const all = [];
  for (let power = Math.floor(Math.log10(scale.low)); power <= Math.log10(scale.high); power += 1) {
    for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${power}`));
  }
  const within = all.filter((tick) => tick >= scale.low && tick <= scale.high);
  return within.length > 8 ? within.filter((tick) => /^(1|5)/.test(tick.toExponential())) : within;
}

/** The scale that shows all these costs with room at both ends. */
export function scaleAround(costs) {
  return logScale(Math.min(...costs) * 0.8, Math.max(...costs) * 1.6);
}
