package main

import (
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/client"
	"github.com/vedette-edr/vedette/wire"
)

// A server that was taken over serves another command than the one that it shows.
func TestOnlyTheShownCommandIsSigned(t *testing.T) {
	const id, device = "11111111-2222-3333-4444-555555555555", "0000000000000000000000000000000000000001"
	now := time.Now()
	good := wire.Command{ID: id, Device: device, Incarnation: 1, Kind: "isolate", Params: []byte(`{"isolationType":"Full"}`), Issued: now, Expires: now.Add(time.Hour)}
	shown := &client.ActionDetail{ID: id, Type: "Isolate", MachineID: device}
	for want, change := range map[string]func(*wire.Command){
		"":            func(*wire.Command) {},
		"in place of": func(c *wire.Command) { c.ID = "99999999-2222-3333-4444-555555555555" },
		"for the":     func(c *wire.Command) { c.Device = strings.Repeat("f", 40) },
		"offboard":    func(c *wire.Command) { c.Kind = "offboard" },
	} {
		c := good
		change(&c)
		body, err := wire.Body(&c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sameCommand(shown, id, body)
		if want == "" && (err != nil || got.Kind != "isolate") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := sameCommand(shown, id, []byte("no command")); err == nil {
		t.Error("what is no command would be signed")
	}
}
