// How often this screen opened and held today, by the day of the lot's walls.
import { known, serviceNow } from "./service.js";

const PLACE = "gate-counts";
const today = () => new Date(serviceNow().getTime() + known.zone * 60000).toISOString().slice(0, 10);

export function counts() {
  const kept = JSON.parse(localStorage.getItem(PLACE) ?? "null");
  return kept?.day === today() ? kept : { day: today(), open: 0, hold: 0 };
}

export function count(decision) {
  const kept = counts();
  localStorage.setItem(PLACE, JSON.stringify({ ...kept, [decision]: kept[decision] + 1 }));
}

export const forgetCounts = () => localStorage.removeItem(PLACE);
