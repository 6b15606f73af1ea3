// Package foreign has what both clients do: queue, load, be found, close with 1000.
package foreign

import (
	"encoding/json"
	"fmt"
)

type frame struct {
	Type             string `json:"type"`
	LoadingSessionID string `json:"loading_session_id"`
	SessionID        string `json:"session_id"`
}

// Play returns the id of the session that the player was told.
func Play(playerID string, send func(string) error, receive func() ([]byte, error)) (string, error) {
	err := send(fmt.Sprintf(`{"type":"enqueue","player_id":%q,"game_mode":"Normal_1v1"}`, playerID))
	for err == nil {
		var data []byte
		if data, err = receive(); err != nil {
			break
		}
		var got frame
		if err = json.Unmarshal(data, &got); err != nil {
			break
		}
		switch got.Type {
		case "start_loading":
			err = send(fmt.Sprintf(`{"type":"loading_complete","loading_session_id":%q}`, got.LoadingSessionID))
		case "match_found":
			return got.SessionID, nil
		}
	}
	return "", err
}

// Report prints the outcome.
func Report(sessionID string, code int, subprotocol string) {
	fmt.Printf("{\"session_id\":%q,\"code\":%d,\"subprotocol\":%q}\n", sessionID, code, subprotocol)
}
