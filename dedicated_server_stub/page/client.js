// The way from the queue into a room, and the room as this client knows it. Nothing here draws.
const RETRY_MS = 500;
const COME_BACK_MS = 30_000; // for so long a room takes a lost player back, unless its server says otherwise

/** Find a match. Resolves with `match_found`; rejects with an Error that says why there is none. */
export function findMatch(url, playerId, gameMode, onStep) {
  return new Promise((resolve, reject) => {
    const link = new WebSocket(url, ["match.v1"]);
    let resumed = false;
    const send = (message) => link.send(JSON.stringify(message));
    link.onopen = () => send({ type: "enqueue", player_id: playerId, game_mode: gameMode });
    link.onclose = (event) => {
      const silent = `${url} does not answer, or does not let this page in`;
      resumed || reject(new Error(event.reason || `No match: ${event.code === 1006 ? silent : `closed with ${event.code}`}.`));
    };
    link.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      onStep(message);
      if (message.type === "start_loading") {
        send({ type: "loading_complete", loading_session_id: message.loading_session_id });
      } else if (message.type === "match_found") {
        resumed = true;
        resolve(message);
        link.close(1000);
      } else if (message.type === "dequeued" || message.type === "error") {
        reject(new Error(message.message || `No match: ${message.reason}.`));
      }
    };
  });
}

/**
 * A room on the server that `match_found` names. When its connection is lost, `connected` is false and it comes back by
 * itself, unless that takes too long.
 */
export class Room {
  constructor(found, { onChange, onEnd }) {
    this.players = new Map();
    this.chat = [];
    this.me = null;
    this.bounds = null;
    this.speed = 0;
    this.tickHz = 20;
    this.connected = false;
    this._found = found;
    this._onChange = onChange;
    this._onEnd = onEnd;
    this._done = new Set(); // the ids of acknowledged messages: each counts once
    this._seq = 0;
    this._result = null;
    this._lostAt = null;
    this._connect();
  }

  move(place) {
    this._send({ type: "move", seq: ++this._seq, ...place });
  }

  tag(playerId) {
    this._send({ type: "tag", seq: ++this._seq, player_id: playerId });
  }

  say(text) {
    this._send({ type: "chat", text });
  }

  leave() {
    this._send({ type: "leave" });
  }

  _connect() {
    const link = (this._link = new WebSocket(this._found.server_address, ["room.v1.json"]));
    link.onopen = () => this._send({ type: "join", join_token: this._found.join_token });
    link.onmessage = ({ data }) => this._take(JSON.parse(data));
    link.onclose = ({ code }) => {
      this.connected = false;
      this._lostAt ??= Date.now();
      const inTime = Date.now() - this._lostAt < COME_BACK_MS;
      if (this._result === null && inTime && [1006, 1013].includes(code)) {
        setTimeout(() => this._connect(), RETRY_MS);
        this._onChange(this);
      } else {
        this._onEnd(this._result, code);
      }
    };
  }

  _send(message) {
    if (this._link.readyState === WebSocket.OPEN) this._link.send(JSON.stringify(message));
  }

  _take(message) {
    switch (message.type) {
      case "welcome":
        Object.assign(this, { bounds: message.bounds, speed: message.speed, tickHz: message.tick_hz });
        this.connected = true;
        this._lostAt = null;
        this.chat = message.chat;
        this.players = new Map(message.players.map((player) => [player.player_id, player]));
        this.me = this.players.get(message.player_id);
        this._seq = Math.max(this._seq, this.me.seq);
        break;
      case "state":
        if (message.full) this.players.clear();
        for (const change of message.players) {
          const known = this.players.get(change.player_id);
          // Where I stand is what I have asked for, until it is rejected: the answer is a round trip old.
          if (known === this.me && known) this.me.score = change.score ?? this.me.score;
          else this.players.set(change.player_id, { ...known, ...change });
        }
        for (const playerId of message.out_of_sight ?? []) this.players.delete(playerId);
        if (message.full) this.players.set(this.me.player_id, this.me);
        break;
      case "player_left":
        if (!message.rejoining) this.players.delete(message.player_id);
        break;
      case "rejected":
        for (const axis of ["x", "y", "z", "yaw"]) this.me[axis] = message[axis];
        break;
      case "chat":
        this.chat.push(message);
        break;
      case "tagged":
      case "notice":
      case "ended":
        this._send({ type: "ack", id: message.id });
        if (this._done.has(message.id)) return;
        this._done.add(message.id);
        if (message.type === "ended") this._result = message.result;
        else if (message.type === "notice") this.chat.push({ player_id: "server", text: message.text });
        else this.chat.push({ player_id: message.by, text: `tagged ${message.player_id}` });
    }
    this._onChange(this);
  }
}
