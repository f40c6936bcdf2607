package link

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/wire"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// How often the server hears of a command: at most every progressGap, so that a scan which
// counts files does not become traffic, and at least every progressLife, because of a device
// that says nothing for long nobody knows whether it works on.
const (
	progressGap  = time.Second
	progressLife = 5 * time.Minute
)

const maxProgress = 1000 // bytes of the detail

// progress is what running commands say of themselves. Only the newest word of each counts.
type progress struct {
	wake chan struct{} // of capacity 1

	mu   sync.Mutex
	said map[string]*word // by command, while it runs
}

// word is what one command said last.
type word struct {
	responder.Progress
	news bool      // since it was sent
	sent time.Time // or begun
}

func newProgress() *progress {
	return &progress{wake: make(chan struct{}, 1), said: map[string]*word{}}
}

func (p *progress) begin(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[command] = &word{Progress: responder.Progress{Percent: -1}, sent: time.Now()}
}

func (p *progress) end(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.said, command)
}

// due takes what is to be sent at now, by command.
func (p *progress) due(now time.Time) map[string]responder.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[string]responder.Progress{}
	for id, w := range p.said {
		if w.news || now.Sub(w.sent) >= progressLife {
			out[id], w.news, w.sent = w.Progress, false, now
		}
	}
	return out
}

// Progress tells the server how far a command is. It returns at once; of what is said in
// quick succession the last reaches the server, and of a command that is not running nothing.
func (l *Link) Progress(command string, said responder.Progress) {
	said.Percent = min(max(said.Percent, -1), 100)
	said.Detail = text(said.Detail, maxProgress)
	if len(said.Numbers) > wire.MaxNumbers || !json.Valid(said.Numbers) || !bytes.HasPrefix(bytes.TrimSpace(said.Numbers), []byte("{")) {
		said.Numbers = nil
	}
	l.progress.mu.Lock()
	w := l.progress.said[command]
	if w != nil {
		w.Progress, w.news = said, true
	}
	l.progress.mu.Unlock()
	if w != nil {
		signal(l.progress.wake)
	}
}

// progressLoop sends what commands say. A word that is lost is replaced by the next.
func (l *Link) progressLoop(ctx context.Context) error {
	t := time.NewTicker(progressLife / 5)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.progress.wake:
		case <-t.C:
		}
		for id, said := range l.progress.due(time.Now()) {
			_, client := l.current()
			// A failure is that of the server or of the way to it, which the other loops
			// notice and tell; a server of before has no such call.
			_, _ = client.ReportProgress(ctx, connect.NewRequest(&wirepb.ReportProgressRequest{
				Command: id, Percent: int32(said.Percent), Detail: said.Detail, Numbers: said.Numbers}))
		}
		if err := wait(ctx, progressGap); err != nil {
			return err
		}
	}
}
