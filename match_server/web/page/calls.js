// Calls of the node: who looks, and the operators' calls with the token of this session.

import { byId, say } from "./dom.js";

export const pool = new URLSearchParams(location.search).get("pool");

let session = null;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export function path(...parts) {
  const encoded = parts.map((part) => encodeURIComponent(part)).join("/");
  return `/${encoded}${pool ? `?pool=${encodeURIComponent(pool)}` : ""}`;
}

// A login in another tab replaces the cookie, and this page's token is no longer that of its session.
async function callInSession(method, url) {
  const before = session?.csrf;
  try {
    await call(method, url);
  } catch (error) {
    if (error.status !== 403 || (await openSession()).csrf === before) throw error;
    await call(method, url);
  }
}

// The JSON of an answer, or null without a body. Raises Refused with what the node says of it.
export async function call(method, url, body) {
  const headers = session?.csrf && method !== "GET" ? { "X-CSRF-Token": session.csrf } : {};
  let answer;
  try {
    answer = await fetch(url, { method, headers, body, cache: "no-store" });
  } catch {
    throw new Refused(0, "The node does not answer.");
  }
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") ?? "").includes("json");
  if (!answer.ok) throw new Refused(answer.status, (isJson && JSON.parse(text).detail) || answer.statusText);
  return isJson ? JSON.parse(text) : null;
}

export async function openSession() {
  session = await call("GET", path("dashboard", "session"));
  return session;
}

export const mayChange = () => session?.role === "operate";

// Asks where something is hard to undo, then changes it, and says so. Returns whether it was done.
export async function change({ method, url, ask, yes, done }) {
  const refused = byId("refused");
  if (ask && !(await confirmed(ask, yes))) return false;
  refused.hidden = true;
  try {
    await callInSession(method, url);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(refused, `Not done: ${error.message}`);
    refused.hidden = false;
    return false;
  }
  say(byId("done"), done);
  return true;
}

function confirmed(ask, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-text"), ask);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
