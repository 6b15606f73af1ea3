// coder/websocket: offers compression, closes with a reason.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"foreign"

	"github.com/coder/websocket"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	options := websocket.DialOptions{
		Subprotocols:    []string{"x", "match.v1"},
		CompressionMode: websocket.CompressionContextTakeover,
	}
	link, _, err := websocket.Dial(ctx, os.Args[1], &options)
	if err != nil {
		log.Fatal(err)
	}
	send := func(text string) error { return link.Write(ctx, websocket.MessageText, []byte(text)) }
	receive := func() ([]byte, error) {
		_, data, err := link.Read(ctx)
		return data, err
	}
	sessionID, err := foreign.Play(os.Args[2], send, receive)
	if err != nil {
		log.Fatal(err)
	}
	if err := link.Close(websocket.StatusNormalClosure, "found"); err != nil {
		log.Fatal(err)
	}
	foreign.Report(sessionID, 1000, link.Subprotocol())
}
