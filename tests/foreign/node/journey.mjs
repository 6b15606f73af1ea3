// What every client here does: queue, load, be found, close with 1000. `send` takes text; the result says what to do.
export function journey(playerId, send, close) {
  let sessionId = "";
  return {
    opened() {
      send(JSON.stringify({ type: "enqueue", player_id: playerId, game_mode: "Normal_1v1" }));
    },
    message(text) {
      const frame = JSON.parse(text);
      if (frame.type === "start_loading") {
        send(JSON.stringify({ type: "loading_complete", loading_session_id: frame.loading_session_id }));
      } else if (frame.type === "match_found") {
        sessionId = frame.session_id;
        close();
      }
    },
    closed(code, subprotocol) {
      console.log(JSON.stringify({ session_id: sessionId, code, subprotocol }));
    },
  };
}
