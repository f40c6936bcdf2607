package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vedette-edr/vedette/agent/responder"
)

// Config says where things are. The zero value is this device.
type Config struct {
	Run   string // "" for /run: buses of users, utmp, sessions of logind, fragments
	Proc  string // "" for /proc
	Dev   string // "" for /dev
	Users func(uid uint32) string
	Now   func() time.Time
}

// Handler shows messages.
type Handler struct {
	cfg Config

	mu  sync.Mutex // guards the fragment
	end *time.Timer
}

var _ responder.Handler = (*Handler)(nil)

// New returns a Handler, and takes a fragment away that has stood long enough.
func New(cfg Config) *Handler {
	for _, d := range []struct {
		at    *string
		usual string
	}{{&cfg.Run, "/run"}, {&cfg.Proc, "/proc"}, {&cfg.Dev, "/dev"}} {
		if *d.at == "" {
			*d.at = d.usual
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Users == nil {
		cfg.Users = func(uint32) string { return "" }
	}
	h := &Handler{cfg: cfg}
	if st, err := os.Stat(h.fragment()); err == nil {
		h.endAfter(fragmentLife - cfg.Now().Sub(st.ModTime()))
	}
	return h
}

// Kinds returns the kind.
func (h *Handler) Kinds() []string { return []string{Kind} }

// Close forgets when the fragment is to be taken away: the next agent looks.
func (h *Handler) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end != nil {
		h.end.Stop()
	}
}

// Handle shows one message.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	var p Params
	err := json.Unmarshal(c.Params, &p)
	if err == nil {
		p, err = p.normal()
	}
	if err != nil {
		return responder.Result{State: responder.Refused, Detail: fmt.Sprintf("parameters: %v", err)}
	}
	ev := Evidence{Desktops: h.desktops(ctx, p), Terminals: h.terminals(p)}
	if ctx.Err() != nil {
		return responder.Result{State: responder.Failed, Detail: ctx.Err().Error()}
	}
	ev.Logons = []Place{h.later(p)}
	r := responder.Result{State: responder.Verified}
	r.Evidence, _ = json.Marshal(ev) // of strings and bools: cannot fail
	desktops, terminals := shown(ev.Desktops), shown(ev.Terminals)
	switch later := ev.Logons[0].Shown; {
	case desktops+terminals > 0:
		r.Detail = fmt.Sprintf("shown on %d of %d desktops and %d of %d terminals", desktops, len(ev.Desktops), terminals, len(ev.Terminals))
	case later && len(ev.Desktops)+len(ev.Terminals) == 0:
		r.Detail = "nobody is logged on; whoever logs on within a day is shown it"
	case later:
		r.State, r.Detail = responder.Applied, "nobody who is logged on could be shown it: "+why(ev)+"; whoever logs on within a day is"
	default:
		r.State, r.Detail = responder.Failed, "nobody could be shown it: "+why(ev)
	}
	return r
}

func why(ev Evidence) string {
	var out []string
	for _, list := range [][]Place{ev.Desktops, ev.Terminals, ev.Logons} {
		for _, p := range list {
			if !p.Shown {
				out = append(out, p.Where+": "+p.Detail)
			}
		}
	}
	return strings.Join(out, "; ")
}

// fragmentLife is how long who logs on is shown a message.
const fragmentLife = 24 * time.Hour

// fragment is read by pam_motd, and gone with a reboot.
func (h *Handler) fragment() string { return filepath.Join(h.cfg.Run, "motd.d", "50-vedette") }

// later leaves the message for whoever logs on.
func (h *Handler) later(p Params) Place {
	name := h.fragment()
	out := Place{Where: name}
	h.mu.Lock()
	defer h.mu.Unlock()
	text := fmt.Sprintf("\n*** %s (%s) ***\n%s\n\n", p.Title, h.cfg.Now().Format("2006-01-02 15:04"), p.Text)
	const readable = 0o644
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name+".new", []byte(text), readable)
	}
	if err == nil {
		err = errors.Join(os.Chmod(name+".new", readable), os.Rename(name+".new", name))
	}
	if err != nil {
		out.Detail = err.Error()
		return out
	}
	h.endAfterLocked(fragmentLife)
	got, err := os.ReadFile(name)
	out.Shown = err == nil && string(got) == text
	return out
}

// Withdraw takes away what waits for whoever logs on.
func (h *Handler) Withdraw() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end != nil {
		h.end.Stop()
	}
	if err := os.Remove(h.fragment()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (h *Handler) endAfter(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endAfterLocked(d)
}

func (h *Handler) endAfterLocked(d time.Duration) {
	if h.end != nil {
		h.end.Stop()
	}
	h.end = time.AfterFunc(max(d, 0), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		_ = os.Remove(h.fragment()) // one that is not there is as good
	})
}
