// One player: where it is, why it waits, and out of its queue.

import { Refused, call, change, mayChange, path } from "./calls.js";
import { byId, el } from "./dom.js";
import { STAGES, duration, number, rule } from "./words.js";

const PLAYER_ID = /^[A-Za-z0-9_.@:-]{1,64}$/;

export function startLookup() {
  byId("lookup").addEventListener("submit", (event) => {
    event.preventDefault();
    find(byId("player").value.trim());
  });
}

export function lookUp(player) {
  byId("player").value = player;
  byId("player").focus();
  find(player);
}

async function find(player) {
  if (!PLAYER_ID.test(player)) {
    byId("found").replaceChildren(el("p", { class: "problem" }, "A player id has 1 to 64 characters of A-Z a-z 0-9 _ . @ : -"));
    return;
  }
  try {
    const found = await call("GET", path("players", player));
    const waits = ["queued", "gathering"].includes(found.state);
    show(found, waits ? await explanation(player) : null);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    byId("found").replaceChildren(el("p", { class: error.status === 404 ? "empty" : "problem" }, said(error, player)));
  }
}

const said = (error, player) => (error.status === 404 ? `${player} is in no queue, and in no match of the last two minutes.` : error.message);

async function explanation(player) {
  try {
    return await call("GET", path("players", player, "explanation"));
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null; // matched meanwhile
    throw error;
  }
}

function show(found, why) {
  const facts = [
    ["State", `${found.state}${found.held ? ", its link is lost" : ""}, for ${duration(found.since_seconds)}`],
    ["Game mode", found.game_mode],
    ["In the queue since", new Date(found.enqueued_at * 1000).toLocaleTimeString("en-GB")],
    ["Node", `${found.node}${found.connected ? "" : ", not connected"}`],
    ["Loading session", found.loading_session_id],
    ["Session", found.session_id],
  ].filter(([, value]) => value);
  const list = el("dl", { class: "facts" }, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const canLeave = mayChange() && ["queued", "gathering", "loading"].includes(found.state);
  const out = canLeave ? el("button", { type: "button", class: "danger", onclick: () => takeOut(found.player_id) }, "Take out of the queue") : null;
  byId("found").replaceChildren(el("h3", {}, found.player_id), list, ...(why ? reasons(why) : []), ...(out ? [out] : []));
}

function reasons(why) {
  const lines = [el("p", {}, STAGES[why.stage] ?? why.stage)];
  if (why.missing) lines.push(el("p", {}, `It lacks the attribute ${why.missing}, which the rules need.`));
  const others = Math.max(0, why.waiting - 1);
  const list = [`${number(others)} other${others === 1 ? " waits" : "s wait"} in this mode.`];
  if (why.candidates !== undefined) list.push(`${number(why.candidates)} of them may play with it now.`);
  for (const each of why.rules ?? []) {
    const limit = each.limit === null ? "" : ` (limit ${number(Math.round(each.limit * 10) / 10)})`;
    list.push(`The rule on ${rule(each)}${limit} keeps ${number(each.excluded_with_others)} away, ${number(each.excluded)} of them by itself.`);
  }
  if (why.nearest) {
    const when = why.nearest.allowed_in_seconds;
    list.push(`The nearest is ${number(Math.round(why.nearest.value * 10) / 10)} away: ${when === null ? "never within reach by waiting" : when <= 0 ? "within reach" : `within reach in ${duration(when)}`}.`);
  }
  if (why.acceptable_difference !== undefined) list.push(`A difference of ${number(Math.round(why.acceptable_difference))} is worth taking now.`);
  return [...lines, el("ul", {}, ...list.map((line) => el("li", {}, line)))];
}

async function takeOut(player) {
  const done = await change({
    method: "DELETE",
    url: path("players", player, "journey"),
    ask: `Take ${player} out of its queue? Its party leaves with it. It is told so, and may queue again.`,
    yes: "Take out",
    done: `${player} is out of its queue.`,
  });
  if (done) {
    byId("found").replaceChildren(el("p", { class: "empty" }, `${player} is out of its queue.`));
    byId("player").focus();
  }
}
