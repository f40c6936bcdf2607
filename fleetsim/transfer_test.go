package fleetsim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/wire"
)

// breaker is a way to a server that breaks after some bytes of either direction, again and
// again while it is armed.
type breaker struct {
	to     string
	l      net.Listener
	broken atomic.Int64

	mu    sync.Mutex
	rand  *rand.Rand // nil while nothing breaks
	most  int
	conns map[net.Conn]bool
}

func newBreaker(t *testing.T, to string) *breaker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &breaker{to: to, l: l, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.carry(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		wg.Wait()
	})
	return b
}

// arm lets every connection break after at most so many bytes.
func (b *breaker) arm(seed uint64, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rand, b.most = rand.New(rand.NewPCG(seed, 1)), most
	for c := range b.conns {
		_ = c.Close()
	}
}

func (b *breaker) carry(in net.Conn) {
	out, err := net.Dial("tcp", b.to)
	if err != nil {
		_ = in.Close()
		return
	}
	b.mu.Lock()
	b.conns[in], b.conns[out] = true, true
	life := int64(1 << 62)
	if b.rand != nil {
		life = int64(b.rand.IntN(b.most))
	}
	b.mu.Unlock()
	var left atomic.Int64
	left.Store(life)
	end := func() { _ = in.Close(); _ = out.Close() }
	pipe := func(to, from net.Conn) {
		defer end()
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if left.Add(int64(-n)) < 0 {
				b.broken.Add(1)
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { pipe(out, in) })
	pipe(in, out)
	wg.Wait()
	b.mu.Lock()
	delete(b.conns, in)
	delete(b.conns, out)
	b.mu.Unlock()
}

func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// TestFilesComeOverConnectionsThatBreak carries files both ways by the agent's own link
// while every connection breaks at a random place, the server restarts in between, and
// telemetry goes on.
func TestFilesComeOverConnectionsThatBreak(t *testing.T) {
	s := start(t)
	way := newBreaker(t, s.address)
	script, up := noise(1_000_000, 1), [][]byte{noise(2_500_000, 2), nil, noise(700_000, 3)}
	if _, err := s.library.Put(t.Context(), analyst, library.Upload{Name: "tool.bin", Content: bytes.NewReader(script)}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var fetched bytes.Buffer
	answer := func(ctx context.Context, d *fleetsim.Device, c *wire.Command) link.Result {
		way.arm(7, 900_000)
		var wg sync.WaitGroup
		failed := make([]error, len(up)+1)
		for i, content := range up {
			wg.Go(func() {
				name := filepath.Join(dir, fmt.Sprint(i))
				if failed[i] = os.WriteFile(name, content, 0o600); failed[i] != nil {
					return
				}
				f, err := os.Open(name)
				if err != nil {
					failed[i] = err
					return
				}
				defer func() { _ = f.Close() }()
				failed[i] = d.Server().Upload(ctx, c.ID, i+1, "/odd\nname/of \x01 "+fmt.Sprint(i), f)
			})
		}
		wg.Go(func() { failed[len(up)] = d.Server().Fetch(ctx, c.ID, "tool.bin", &fetched) })
		wg.Wait()
		if err := errors.Join(failed...); err != nil {
			return link.Result{State: "failed", Detail: err.Error()}
		}
		if err := d.Server().Fetch(ctx, c.ID, "other.bin", io.Discard); err == nil || ctx.Err() != nil {
			return link.Result{State: "failed", Detail: "a file that the command does not name was given"}
		}
		return link.Result{State: "verified"}
	}
	f := s.enrolled(1, func(c *fleetsim.Config) {
		c.Server, c.Answer, c.Backoff = "https://"+way.l.Addr().String(), answer, time.Millisecond
	})
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := f.Devices()[0]
	param := func(k, v string) []action.Param { return []action.Param{{Key: k, Value: v}} }
	commands := []action.LiveCommand{{Kind: action.PutFile, Params: param("FileName", "tool.bin")}}
	for range up {
		commands = append(commands, action.LiveCommand{Kind: action.GetFile, Params: param("Path", "/x")})
	}
	a, err := s.actions.Request(t.Context(), analyst, action.Request{Device: ident.DeviceID(d.ID()), Kind: action.LiveResponse, Comment: "test", Commands: commands})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		d.Emit(&event.Event{Table: event.DeviceEvents, Action: fmt.Sprint("Numbered", i), Time: d.Now()})
	}
	eventually(t, "connections broke", func() bool { return way.broken.Load() >= 3 })
	s.down()
	s.up()
	eventually(t, "the action ends", func() bool {
		a, err = s.actions.Get(t.Context(), tenant, a.ID)
		return err == nil && !a.State.Open()
	})
	if a.State != action.Verified {
		t.Fatalf("%s: %s", a.State, a.Error)
	}
	if !bytes.Equal(fetched.Bytes(), script) {
		t.Errorf("%d bytes were fetched", fetched.Len())
	}
	for i, content := range up {
		r, err := a.Artifact(i + 1)
		if err != nil {
			t.Error(err)
			continue
		}
		file, err := s.blobs.Open(r.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(file)
		if err != nil || !bytes.Equal(got, content) || strings.ContainsAny(r.Name, "/\n\x01") {
			t.Errorf("file %d: %d bytes as %q: %v", i, len(got), r.Name, err)
		}
		_ = file.Close()
	}
	eventually(t, "the telemetry is there", func() bool { return len(s.memory.events(d.ID())) >= 50 })
	if n := way.broken.Load(); n < 5 {
		t.Errorf("only %d connections broke", n)
	}
}
