// How figures and states are said.

const NUMBERS = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export const number = (value) => (value === null || value === undefined ? "–" : NUMBERS.format(value));

export const clock = (seconds) => CLOCK.format(new Date(seconds * 1000));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export const BLOCKED = {
  paused: "Paused",
  too_few_players: "Too few players",
  no_server_for_mode: "No server takes it",
  no_free_slot: "No free slot",
};

export const STAGES = {
  waiting: "It waits, within reach of the matcher.",
  held: "Its link is lost, or that of a member of its party: nobody is matched with it until it is back.",
  gathering: "Its party is not complete.",
  no_slots: "A match could form, and no dedicated server has a free slot.",
  paused: "Its mode is paused.",
};

// The tone of a state: its color, and never the color alone.
export const TONES = {
  live: "good", ready: "good", starting: "plain", draining: "warn", full: "warn", quarantined: "bad", dead: "bad",
};



export const rule = ({ kind, attribute }) => (attribute ? `${kind.replaceAll("_", " ")} of ${attribute}` : kind.replaceAll("_", " "));

export function windowInUse(found) {
  const { limit, no_longer_asked: open } = found;
  const parts = [];
  if (limit && limit.p50 !== null) {
    const [half, most] = [limit.p50, limit.p90].map((value) => number(Math.round(value * 10) / 10));
    parts.push(half === most ? `up to ${half}` : `up to ${half} for half, ${most} for 90 %`);
  }
  if (open) parts.push(`no longer asked by ${number(open)}`);
  return `${rule(found)}: ${parts.join("; ") || "nobody waits"}`;
}
