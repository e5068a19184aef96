// Where does a budget lie on a slider or an axis? Logarithmic scales, their ticks and readable values on them.

/** The positions of a range input: as many as have different values when those are rounded to be read. */
export const POSITIONS = 250;

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

/** Round numbers within the scale, as many as leave this share of it between any two. */
export function ticks(scale, apart) {
  const isLoose = (values) =>
    values.every((value, index) => index === 0 || scale.at(value) - scale.at(values[index - 1]) >= apart);
  const choices = [[1, 1.5, 2, 3, 4, 6], [1, 2, 3, 5], [1, 2, 5], [1, 5], [1]].map((digits) => within(scale, digits));
  return choices.find(isLoose) ?? choices.at(-1);
}

/** These digits times powers of ten, as far as they lie within the scale. */
function within({ low, high }, digits) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const digit of digits) found.push(Number(`${digit}e${power}`));
  }
  return found.filter((tick) => tick >= low && tick <= high);
}

/** The scale that shows all these costs with room at both ends. */
export function scaleAround(costs) {
  return logScale(Math.min(...costs) * 0.8, Math.max(...costs) * 1.6);
}
