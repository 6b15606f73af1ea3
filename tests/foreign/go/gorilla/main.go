// gorilla/websocket: offers compression, sends each message in fragments of 16 bytes.
package main

import (
	"errors"
	"log"
	"os"
	"time"

	"foreign"

	"github.com/gorilla/websocket"
)

func main() {
	dialer := websocket.Dialer{Subprotocols: []string{"x", "match.v1"}, EnableCompression: true, WriteBufferSize: 16}
	link, _, err := dialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	send := func(text string) error {
		writer, err := link.NextWriter(websocket.TextMessage)
		if err != nil {
			return err
		}
		if _, err = writer.Write([]byte(text)); err != nil {
			return err
		}
		return writer.Close()
	}
	receive := func() ([]byte, error) {
		_, data, err := link.ReadMessage()
		return data, err
	}
	sessionID, err := foreign.Play(os.Args[2], send, receive)
	if err != nil {
		log.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	_ = link.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), deadline)
	_, _, err = link.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		log.Fatal(err)
	}
	foreign.Report(sessionID, closed.Code, link.Subprotocol())
}
