package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/journal"
	"github.com/vedette-edr/vedette/schema/event"
)

// state is what the journals cannot tell. It may be older than they are: positions that
// lag behind cost a second delivery, which the server recognises, and everything that
// counts up is taken from the journal where that is ahead. So it is written now and then,
// but always before anything is removed from a journal.
type state struct {
	Device       string           `json:"device"`
	Incarnation  uint64           `json:"incarnation"`
	BootID       string           `json:"bootId"`
	Generation   uint64           `json:"generation"` // which journal of telemetry is the valid one
	NextSequence uint64           `json:"nextSequence"`
	NextReport   int64            `json:"nextReport"`
	Covered      uint64           `json:"covered"`
	Acked        journal.Position `json:"acked"`
	ResultsAcked journal.Position `json:"resultsAcked"`
	// Gaps wait for the batch of GapsSequence; once that is in the journal they are in it.
	Gaps         []event.Gap `json:"gaps"`
	GapsSequence uint64      `json:"gapsSequence"`
	Clean        bool        `json:"clean"` // nothing was emitted after this was written
	Saved        time.Time   `json:"saved"`
	Opened       time.Time   `json:"opened"` // by the process that wrote this
}

func loadState(dir string) (*state, error) {
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spool: state: %w", err)
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, fmt.Errorf("spool: state: %w", err)
	}
	return &st, nil
}

// saveState writes the state whole or not at all. It is called by the flusher, or while
// there is none.
func (s *Spool) saveState() error {
	s.state.Saved = s.conf.Clock().UTC()
	s.state.Acked, s.state.ResultsAcked = s.telemetry.acked(), s.results.acked()
	s.state.Covered = s.covered
	b, err := json.Marshal(&s.state)
	if err != nil {
		return fmt.Errorf("spool: state: %w", err)
	}
	if err := durable.Write(filepath.Join(s.conf.Dir, "state.json"), b, 0o600); err != nil {
		return fmt.Errorf("spool: state: %w", err)
	}
	s.saved = time.Now()
	return nil
}
