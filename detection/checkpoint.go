package detection

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// checkpointForm numbers the form of a checkpoint; another one is not read.
const checkpointForm = 1

// header is the first line of a checkpoint.
type header struct {
	Form     int
	Position time.Time
	Keys     int
}

// line is one entry of a checkpoint.
type line struct {
	Rule, Key string
	*entry
}

// Dirty reports whether anything changed since the last Save.
func (s *State) Dirty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty
}

// Save writes everything remembered, one JSON value a line. position is an instant of
// ingestion: of every event taken in before, s has what it told.
func (s *State) Save(w io.Writer, position time.Time) error {
	s.mu.Lock()
	// Entries are changed in place: what is written has to be a copy, made under the lock.
	raw := make([]json.RawMessage, 0, len(s.entries))
	var failed error
	for el := s.order.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		b, err := json.Marshal(line{e.at.Rule, e.at.Key, e})
		failed = errors.Join(failed, err)
		raw = append(raw, b)
	}
	s.dirty = false
	s.mu.Unlock()
	enc := json.NewEncoder(w)
	err := errors.Join(failed, enc.Encode(header{checkpointForm, position, len(raw)}))
	for _, b := range raw {
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		err = enc.Encode(b)
	}
	return err
}

// Restore reads what Save wrote into a State that is empty, and returns the position. A
// checkpoint that is damaged or of another form is an error and leaves s empty.
func (s *State) Restore(r io.Reader) (time.Time, error) {
	d := json.NewDecoder(r)
	var h header
	if err := d.Decode(&h); err != nil {
		return time.Time{}, fmt.Errorf("checkpoint: %w", err)
	}
	if h.Form != checkpointForm {
		return time.Time{}, fmt.Errorf("checkpoint: its form is %d, this release reads %d", h.Form, checkpointForm)
	}
	var list []*entry
	for range h.Keys {
		l := line{entry: &entry{}}
		if err := d.Decode(&l); err != nil {
			return time.Time{}, fmt.Errorf("checkpoint: %w", err)
		}
		l.at = stateKey{l.Rule, l.Key}
		list = append(list, l.entry)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range list {
		if len(s.entries) >= s.max {
			break
		}
		if _, twice := s.entries[e.at]; !twice {
			s.add(e)
		}
	}
	return h.Position, nil
}
