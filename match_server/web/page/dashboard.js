// The page: who looks, the stream of readings, and what is shown when there is none.

import { Refused, call, change, openSession, path, pool } from "./dashboard/calls.js";
import { byId, el, say, set } from "./dashboard/dom.js";
import { eventsAreWritten, startEvents, takeEvents } from "./dashboard/events.js";
import { lookUp, startLookup } from "./dashboard/lookup.js";
import { takePoints, takeReading } from "./dashboard/sections.js";
import { clock } from "./dashboard/words.js";

const SILENT_MS = 4000; // a reading comes each second
const RETRY_MS = 2000;

let stream = null;
let heardAt = 0; // of the last message, by the browser's clock, in ms
let readAt = 0; // of the last reading with figures, by the node's, in seconds
let problem = "";

async function begin() {
  let session;
  try {
    session = await openSession();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) return showLogin();
    problem = error.status ? error.message : "";
    showLink();
    if (error.status !== 403 && error.status !== 404) setTimeout(begin, RETRY_MS);
    return undefined;
  }
  problem = "";
  byId("login").hidden = true;
  byId("board").hidden = false;
  say(byId("who"), session.can_log_out ? `${session.operator}${session.role === "read" ? ", may read" : ""}` : "");
  byId("logout").hidden = !session.can_log_out;
  showPools(session);
  return listen();
}

function listen() {
  stream?.close();
  stream = new EventSource(path("dashboard", "live"));
  const on = (name, take) => stream.addEventListener(name, ({ data }) => {
    heardAt = performance.now();
    take(JSON.parse(data));
  });
  on("points", takePoints);
  on("events", takeEvents);
  on("reading", (reading) => {
    problem = reading.problem ?? "";
    if (!problem) {
      readAt = reading.at;
      takeReading(reading);
      eventsAreWritten(reading.events_written);
      set(byId("board"), { "aria-busy": "false" });
    }
    showLink();
  });
  stream.addEventListener("error", () => {
    if (stream?.readyState === EventSource.CLOSED) setTimeout(begin, RETRY_MS); // refused, not lost: ask why
  });
}

// Whether the figures are of now, in the head and, where they are not, in a banner.
function showLink() {
  const isLost = performance.now() - heardAt > SILENT_MS;
  if (!isLost && !problem && !readAt) return; // it still connects
  const [word, tone] = problem ? ["No figures", "warn"] : isLost ? ["Connection lost", "bad"] : ["Live", "good"];
  const link = byId("link");
  say(link, word);
  set(link, { class: `badge ${tone}` });
  const since = readAt ? ` The figures are from ${clock(readAt)}.` : "";
  const why = problem || "The node does not answer. Trying again.";
  say(byId("stale"), word === "Live" ? "" : `${why}${since}`);
  byId("stale").hidden = word === "Live";
  byId("board").classList.toggle("stale", word !== "Live");
}

function showLogin() {
  stream?.close();
  stream = null;
  for (const id of ["board", "logout", "stale", "pool-choice"]) byId(id).hidden = true;
  say(byId("who"), "");
  say(byId("link"), "Not logged in");
  set(byId("link"), { class: "badge plain" });
  byId("login").hidden = false;
  byId("key").focus();
}

function showPools({ pools, pool: current }) {
  byId("pool-choice").hidden = pools.length < 2;
  byId("pool").replaceChildren(...pools.map((name) => el("option", { value: name, selected: name === current }, name)));
  document.title = current ? `${current} – match-server` : "match-server";
}

byId("pool").addEventListener("change", ({ target }) => location.assign(`/?pool=${encodeURIComponent(target.value)}`));

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = byId("login-problem");
  say(wrong, "");
  try {
    await call("POST", "/login", new URLSearchParams(new FormData(event.target)));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(wrong, error.status === 401 ? "That is no operator's key." : error.message);
    byId("key").select();
    return;
  }
  event.target.reset();
  begin();
});

byId("logout").addEventListener("click", async () => {
  const done = await change({ method: "POST", url: "/logout", done: "Logged out." });
  if (done) location.assign(pool ? `/?pool=${encodeURIComponent(pool)}` : "/"); // nothing of what was seen stays
});

startEvents(lookUp);
startLookup();
setInterval(() => stream && showLink(), 1000);
begin();
