package link

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// announced notes the revision of indicators that the server has for this device.
func (l *Link) announced(revision uint64) {
	if l.conf.Indicators == nil {
		return
	}
	l.mu.Lock()
	l.revision = revision
	l.mu.Unlock()
	if revision != l.conf.Indicators.Revision() {
		signal(l.refresh)
	}
}

// indicatorLoop brings indicators into force as they are announced.
func (l *Link) indicatorLoop(ctx context.Context) error {
	if l.conf.Indicators == nil {
		return nil
	}
	b := l.backoff()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.refresh:
		}
		for {
			l.mu.Lock()
			want := l.revision
			l.mu.Unlock()
			if want == l.conf.Indicators.Revision() {
				break
			}
			if err := l.persist(ctx, b, func(id *Identity, c *Client) error { return l.fetchIndicators(ctx, id, c) }); err != nil {
				return err
			}
		}
	}
}

// maxParts bounds one set: a million indicators come in fifty parts.
const maxParts = 1000

func (l *Link) fetchIndicators(ctx context.Context, id *Identity, client *Client) error {
	have := l.conf.Indicators.Revision()
	s, err := client.FetchIndicators(ctx, connect.NewRequest(&wirepb.FetchIndicatorsRequest{Revision: have}))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // what went wrong is in s.Err
	var parts []*wirepb.IndicatorSet
	for s.Receive() {
		m := s.Msg()
		if !wire.VerifyBody(wire.IndicatorContext, m.Body, m.Signatures, id.CommandKey) {
			return errors.New("link: a set of indicators is not signed by the server")
		}
		p := &wirepb.IndicatorSet{}
		if err := proto.Unmarshal(m.Body, p); err != nil {
			return fmt.Errorf("link: a set of indicators is malformed: %w", err)
		}
		first := p
		if len(parts) > 0 {
			first = parts[0]
		}
		switch {
		case p.Device != id.Device || p.Incarnation != id.Incarnation:
			return errors.New("link: a set of indicators is for another device")
		case p.Base != 0 && p.Base != have, p.Base != first.Base, p.Revision != first.Revision, int(p.Part) != len(parts):
			return errors.New("link: the parts of a set of indicators do not fit together")
		case len(parts) >= maxParts:
			return errors.New("link: a set of indicators has too many parts")
		}
		parts = append(parts, p)
		if p.Last {
			if err := l.conf.Indicators.Apply(ctx, parts); err != nil {
				return fmt.Errorf("link: apply indicators: %w", err)
			}
			signal(l.beat) // the server shows coverage by what devices say
			return nil
		}
	}
	return errors.Join(s.Err(), errors.New("link: a set of indicators ended early"))
}
