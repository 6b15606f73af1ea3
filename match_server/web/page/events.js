// The last 200 events, the newest on top, with a filter. Held, the list stands still while it is read.

import { byId, el, rows, say, set } from "./dom.js";
import { clock, number } from "./words.js";

const MOST = 200;
let events = []; // the newest first
let held = null; // what is shown while the list is held
let isWritten = true;
let lookUp = () => {};

export function startEvents(onPlayer) {
  lookUp = onPlayer;
  byId("filter").addEventListener("input", show);
  byId("hold").addEventListener("click", () => {
    held = held ? null : events;
    set(byId("hold"), { "aria-pressed": held ? "true" : "false" });
    show();
  });
  show();
}

export function takeEvents(brought) {
  const known = new Set(events.map((event) => event.id));
  const fresh = brought.filter((event) => !known.has(event.id)).map((event) => ({ ...event, node: row(event), text: textOf(event) }));
  if (!fresh.length) return;
  events = [...fresh.reverse(), ...events].slice(0, MOST);
  show();
}

export function eventsAreWritten(written) {
  if (written !== isWritten) {
    isWritten = written;
    show();
  }
}

const textOf = ({ type, subject, details }) => [type, subject, ...details.flat()].join(" ").toLowerCase();

function show() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const list = held ?? events;
  const shown = list.filter(({ text }) => words.every((word) => text.includes(word)));
  const empty = !isWritten ? "No events are written: MATCH_EVENTS_KEEP is 0." : list.length ? "No event fits the filter." : "No events yet.";
  const items = shown.length ? shown : [{ id: empty, node: el("li", { class: "empty" }, empty) }];
  rows(byId("events"), items, ({ id }) => id, ({ node }) => ({ node, update() {} }));
  const missed = held ? events.indexOf(held[0]) : 0;
  const behind = missed < 0 ? `more than ${MOST}` : number(missed);
  say(byId("events-note"), held ? `Held: ${behind} newer` : words.length ? `${number(shown.length)} of ${number(list.length)}` : "");
}

function row({ type, subject, time, details, skipped }) {
  const isPlayer = type.startsWith("player.");
  const about = isPlayer ? el("button", { type: "button", class: "link", onclick: () => lookUp(subject) }, subject) : el("span", {}, subject);
  const said = details.flatMap(([name, value]) => [el("span", { class: "quiet" }, name), ` ${value} `]);
  const gap = skipped ? el("span", { class: "quiet" }, `${number(skipped)} before this one are not shown`) : null;
  return el("li", { class: `event ${type.split(".")[0]}` },
    el("time", { datetime: new Date(time * 1000).toISOString() }, clock(time)),
    el("span", { class: "type" }, type), el("span", { class: "about" }, about), el("span", { class: "details" }, ...said, gap));
}
