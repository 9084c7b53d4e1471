// The price of a stay told ahead, as the service tells it: {points: [{at, total_fen}], known_until}.
// Between two points the total stays as it is; before the first and from known_until on nothing is known.
export function readCurve(text) {
  const { points, known_until: until } = JSON.parse(text);
  return { points: points.map(({ at, total_fen: fen }) => ({ at: Date.parse(at), fen })), until: Date.parse(until) };
}

// The point that holds at an instant (milliseconds); null where nothing is known.
export function pointAt({ points, until }, instant) {
  return instant < until ? points.findLast(({ at }) => at <= instant) ?? null : null;
}

// The next point after an instant; null if no other is known.
export const pointAfter = ({ points }, instant) => points.find(({ at }) => at > instant) ?? null;

// Whole fen as yuan, such as 1050 as 10.50.
export function yuan(fen) {
  const digits = String(Math.abs(fen)).padStart(3, "0");
  return `${fen < 0 ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
