// What a reading says: alerts, totals, queues, dedicated servers, nodes.

import { change, mayChange, path } from "./calls.js";
import { bar, lines } from "./charts.js";
import { byId, el, rows, say, set } from "./dom.js";
import { BLOCKED, TONES, duration, number, windowInUse } from "./words.js";

const POINTS = 150; // of a chart, as the node keeps them
const POINT_SECONDS = 2;
let points = {};
let pointAt = 0;

export function takePoints(document) {
  points = document;
  pointAt = 0;
}

export function takeReading(reading) {
  notePoints(reading);
  showAlerts(reading.alerts);
  showTotals(reading);
  rows(byId("queues"), reading.queues, (queue) => queue.game_mode, queueCard);
  note("queues-note", reading.queues_total > reading.queues.length && `${reading.queues.length} of ${reading.queues_total} modes, the longest queues.`);
  const none = "No dedicated server is registered. Players can queue, and no match can form.";
  rows(byId("servers"), reading.servers, (server) => server.server_id, serverRow);
  byId("servers").parentElement.hidden = !reading.servers.length;
  note("servers-note", reading.servers_total > reading.servers.length ? `${reading.servers.length} of ${reading.servers_total} servers: those with trouble, then the fullest.` : !reading.servers.length && none);
  rows(byId("nodes"), reading.nodes, (node) => node.node, nodeRow);
}

function note(id, text) {
  byId(id).hidden = !text;
  say(byId(id), text || "");
}

function notePoints({ at, queues }) {
  if (pointAt && at < pointAt + POINT_SECONDS) return;
  const isFirst = !pointAt; // what the node has noted ends with this one
  pointAt = at;
  if (isFirst) return;
  for (const { game_mode: mode, wait_seconds: waits, matches_last_minute: matches } of queues) {
    const point = { p50: waits?.p50 ?? 0, p90: waits?.p90 ?? 0, matches };
    points[mode] = [...(points[mode] ?? []), point].slice(-POINTS);
  }
}

function showAlerts(alerts) {
  const shown = alerts.length ? alerts : [{ name: "none", severity: "none", about: "", text: "No alerts" }];
  rows(byId("alerts"), shown, (alert) => `${alert.name} ${alert.about}`, () => {
    const word = el("strong");
    const text = el("span");
    const node = el("li", {}, word, " ", text);
    const update = (alert) => {
      set(node, { class: `alert ${alert.severity}` });
      say(word, { critical: "Critical:", warning: "Warning:" }[alert.severity] ?? "");
      say(text, alert.text);
    };
    return { node, update };
  });
}

function showTotals({ waiting, matches_last_minute: matches, slots, nodes }) {
  const connections = nodes.reduce((sum, node) => sum + (node.connections ?? 0), 0);
  const all = slots.free + slots.active + slots.reserved;
  const totals = [
    { name: "Players waiting", value: number(waiting) },
    { name: "Matches in the last minute", value: number(matches) },
    { name: "Free slots", value: number(slots.free), of: `of ${number(all)}` },
    { name: "Connections", value: number(connections) },
  ];
  rows(byId("totals"), totals, (total) => total.name, ({ name }) => {
    const value = el("span", { class: "figure" });
    const of = el("span", { class: "quiet" });
    const node = el("div", { class: "card" }, el("dt", {}, name), el("dd", {}, value, " ", of));
    return { node, update: (total) => (say(value, total.value), say(of, total.of ?? "")) };
  });
}

function queueCard({ game_mode: mode }) {
  const badge = el("span", { class: "badge" });
  const pause = el("button", { type: "button", onclick: () => togglePause(mode, pause.dataset.paused === "yes") });
  const figures = Object.fromEntries(["waiting", "oldest", "matches"].map((name) => [name, el("dd", { class: "figure" })]));
  const more = el("p", { class: "quiet" });
  const waits = lines(["p90", "p50"]);
  const waitText = el("p", { class: "quiet key" });
  const matches = lines(["matches"]);
  const matchText = el("p", { class: "quiet key" });
  const windows = el("ul", { class: "plain quiet" });
  const node = el(
    "li", { class: "card" },
    el("div", { class: "head" }, el("h3", {}, mode), badge, mayChange() ? pause : null),
    el("dl", { class: "figures" },
      el("div", {}, el("dt", {}, "Waiting"), figures.waiting),
      el("div", {}, el("dt", {}, "Oldest wait"), figures.oldest),
      el("div", {}, el("dt", {}, "Matches/min"), figures.matches)),
    el("div", { class: "charts" }, el("div", {}, waits.node, waitText), el("div", {}, matches.node, matchText)),
    more, windows,
  );
  function update(queue) {
    say(figures.waiting, number(queue.waiting));
    say(figures.oldest, duration(queue.oldest_wait_seconds));
    say(figures.matches, number(queue.matches_last_minute));
    const tone = { paused: "warn", no_server_for_mode: "bad", no_free_slot: "bad" }[queue.blocked_by];
    say(badge, BLOCKED[queue.blocked_by] ?? (queue.waiting ? "Looks for matches" : "Nobody waits"));
    set(badge, { class: `badge ${tone ?? (queue.waiting && !queue.blocked_by ? "good" : "plain")}` });
    pause.dataset.paused = queue.paused ? "yes" : "no";
    say(pause, queue.paused ? "Resume" : "Pause");
    set(pause, { "aria-label": `${queue.paused ? "Resume" : "Pause"} ${mode}` });
    const series = points[mode] ?? [];
    waits.update({ p50: series.map((point) => point.p50), p90: series.map((point) => point.p90) }, `Waits in ${mode} over the last minutes`);
    const now = queue.wait_seconds;
    say(waitText, now ? `Waits: half up to ${duration(now.p50)} (line), 90 % up to ${duration(now.p90)} (dashes)` : "Waits: nobody is there");
    matches.update({ matches: series.map((point) => point.matches) }, `Matches in ${mode} over the last minutes`);
    say(matchText, `Matches a minute, at most ${number(Math.max(0, ...series.map((point) => point.matches)))}`);
    const stages = [
      ["loading", queue.loading], ["being placed", queue.allocating],
      ["link lost", queue.held], ["matches without a slot", queue.waiting_for_slot_sessions],
    ].filter(([, count]) => count);
    const counted = stages.map(([name, count]) => `${number(count)} ${name}`);
    say(more, [`${queue.players_per_match} players a match`, ...counted].join(" · "));
    rows(windows, queue.windows ?? [], (found) => `${found.kind} ${found.attribute}`, () => {
      const line = el("li");
      return { node: line, update: (found) => say(line, `Window, ${windowInUse(found)}`) };
    });
  }
  return { node, update };
}

const togglePause = (mode, isPaused) => change({
  method: "POST",
  url: path("queues", mode, isPaused ? "resume" : "pause"),
  ask: isPaused ? null : `Pause ${mode}? It lets nobody in and forms no match, on all nodes. Who waits keeps waiting.`,
  yes: "Pause",
  done: `${mode} ${isPaused ? "goes on" : "is paused"}.`,
});

// A cell that says its own heading where the table is narrow.
const cell = (label, ...children) => el("td", { role: "cell", "data-label": label }, ...children);

function serverRow({ server_id: id }) {
  const state = el("span", { class: "badge" });
  const region = cell("Region");
  const slots = bar(["active", "reserved"]);
  const used = el("span", { class: "quiet" });
  const lease = cell("Lease");
  const trouble = el("p", { class: "problem" });
  const drain = el("button", { type: "button", "aria-label": `Drain ${id}`, onclick: () => drainServer(id) }, "Drain");
  const name = el("th", { role: "rowheader", scope: "row" }, id, trouble);
  const last = el("td", { role: "cell", class: "change" }, mayChange() ? drain : null);
  const node = el("tr", { role: "row" }, name, cell("State", state), region, el("td", { role: "cell", class: "wide", "data-label": "Slots" }, slots.node, used), lease, last);
  function update(server) {
    say(state, server.state);
    set(state, { class: `badge ${TONES[server.state]}` });
    say(region, server.region ?? "–");
    say(lease, duration(server.lease_seconds_left));
    const taken = server.active + server.reserved;
    const text = `${number(server.active)} active${server.reserved ? `, ${number(server.reserved)} reserved` : ""} of ${number(server.capacity)}`;
    slots.update(server, Math.max(server.capacity, taken), text);
    say(used, text);
    say(trouble, server.last_error ? `${server.last_error}${server.retry_in_seconds === null ? "" : `; asked again in ${duration(server.retry_in_seconds)}`}` : "");
    drain.hidden = server.state === "draining";
  }
  return { node, update };
}

const drainServer = (id) => change({
  method: "POST",
  url: path("servers", id, "drain"),
  ask: `Drain ${id}? It gets no new session until its process has started anew. Its sessions go on.`,
  yes: "Drain",
  done: `${id} is draining.`,
});

function nodeRow({ node: id }) {
  const state = el("span", { class: "badge" });
  const columns = Object.fromEntries(["Address", "Connections", "Players", "Mailbox", "Lag", "Lease"].map((name) => [name, cell(name)]));
  const own = el("span", { class: "quiet" });
  const node = el("tr", { role: "row" }, el("th", { role: "rowheader", scope: "row" }, id, " ", own), cell("State", state), ...Object.values(columns));
  function update(row) {
    say(own, row.this ? "this one" : "");
    say(state, row.state);
    set(state, { class: `badge ${TONES[row.state]}` });
    say(columns.Address, row.address ?? "–");
    say(columns.Connections, number(row.connections));
    say(columns.Players, number(row.players));
    say(columns.Mailbox, number(row.mailbox));
    say(columns.Lag, duration(row.lag_seconds));
    say(columns.Lease, duration(Math.max(0, row.lease_seconds_left)));
  }
  return { node, update };
}
