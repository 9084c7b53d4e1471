// The service's clock as far as the phone knows it: a phone's own may be wrong by hours.
const ROUND_TRIP_MAX = 5000;
let offset = 0;

export const now = () => Date.now() + offset;
export const restore = (kept) => { offset = kept ?? 0; };

// An answer left the service about half-way between question and answer. `Date` is cut to the second.
// Returns the offset where it was learned, for the shelf.
export function learn(answer, sentAt, serverTime) {
  const said = serverTime ? Date.parse(serverTime) : Date.parse(answer.headers.get("Date")) + 500;
  const receivedAt = Date.now();
  if (Number.isNaN(said) || receivedAt - sentAt > ROUND_TRIP_MAX) return null;
  offset = said - (sentAt + receivedAt) / 2;
  return offset;
}

// An instant as people in the city say it: 18:05, or Wed 18:05 on another day than today.
export function say(instant, zone) {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" });
  const isToday = day.format(instant) === day.format(now());
  return new Intl.DateTimeFormat(document.documentElement.lang, {
    timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(!isToday && { weekday: "short" }),
  }).format(instant);
}
