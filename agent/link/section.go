package link

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Section is one part of the inventory: a set of items, each compact JSON, that passed
// wire.FitSection.
type Section struct {
	Name  string
	Items []json.RawMessage
}

// sectionEvery is how often the sections are looked at; that costs little when nothing
// changed.
const sectionEvery = time.Minute

// sections is what the server has of each section, as far as this process knows.
type sections struct {
	identity *Identity // to whom it was said
	known    map[string]map[string]bool
}

// sectionLoop tells the server what changed of the inventory.
func (l *Link) sectionLoop(ctx context.Context) error {
	if l.conf.Sections == nil {
		return nil
	}
	b := l.backoff()
	have := &sections{}
	for {
		pause := sectionEvery
		id, _ := l.current()
		if have.identity == nil || have.identity.Device != id.Device || have.identity.Incarnation != id.Incarnation {
			have = &sections{identity: id, known: map[string]map[string]bool{}}
		}
		err := l.reportSections(ctx, have)
		switch {
		case err == nil:
			b.reset()
		case connect.CodeOf(err) == connect.CodeUnimplemented:
			// A server of before sections; a newer one may take its place.
			pause = time.Hour
		default:
			if pause, err = l.refused(ctx, id, err, b); err != nil {
				return err
			}
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func (l *Link) reportSections(ctx context.Context, have *sections) error {
	for _, s := range l.conf.Sections(ctx) {
		if err := l.reportSection(ctx, have, s); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// reportSection brings the server to what s says: it asks by digest first, unless it knows
// what the server has, then sends the difference, and the whole when the server has
// something else.
func (l *Link) reportSection(ctx context.Context, have *sections, s Section) error {
	items := map[string]json.RawMessage{}
	keys := make([]string, 0, len(s.Items))
	for _, item := range s.Items {
		k := wire.SectionKey(item)
		if _, twice := items[k]; !twice {
			items[k] = item
			keys = append(keys, k)
		}
	}
	digest := wire.SectionDigest(keys)
	known, ok := have.known[s.Name]
	if ok && len(known) == len(items) && wire.SectionDigest(keysOf(known)) == digest {
		return nil
	}
	_, client := l.current()
	send := func(base, body []byte) (*wirepb.ReportInventoryResponse, error) {
		r, err := client.ReportInventory(ctx, connect.NewRequest(&wirepb.ReportInventoryRequest{Section: s.Name, Digest: digest[:], Base: base, Body: body}))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	}
	done := func() error {
		now := make(map[string]bool, len(items))
		for k := range items {
			now[k] = true
		}
		have.known[s.Name] = now
		return nil
	}
	var change wire.SectionBody
	var base []byte
	if ok {
		was := wire.SectionDigest(keysOf(known))
		base = was[:]
		for k := range known {
			if _, still := items[k]; !still {
				change.Remove = append(change.Remove, k)
			}
		}
	} else if r, err := send(nil, nil); err != nil || r.Have {
		if err != nil {
			return err
		}
		return done()
	}
	for k, item := range items {
		if !known[k] {
			change.Put = append(change.Put, item)
		}
	}
	body, err := wire.EncodeSection(&change)
	if err != nil {
		return err
	}
	r, err := send(base, body)
	if err != nil || r.Have {
		if err != nil {
			return err
		}
		return done()
	}
	if bytes.Equal(base, r.Digest) {
		return nil // it was taken for what it is not; the next round begins anew
	}
	delete(have.known, s.Name)
	whole := wire.SectionBody{}
	for _, k := range keys {
		whole.Put = append(whole.Put, items[k])
	}
	if body, err = wire.EncodeSection(&whole); err != nil {
		return err
	}
	if r, err = send(nil, body); err != nil {
		return err
	}
	if r.Have {
		return done()
	}
	return nil
}

func keysOf(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
