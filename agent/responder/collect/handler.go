package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
)

// Kind is the kind of command that Handler carries out.
const Kind = "collectinvestigationpackage"

// Bounds of a package. Those of a data point are at the point.
const (
	maxPacked  = 512 << 20 // bytes of the ZIP
	maxTotal   = 2 << 30   // bytes of what is in it
	reserve    = 256 << 20 // bytes of the disk that are not touched
	leastSpace = 32 << 20  // bytes beyond that without which none is begun
	maxTime    = 20 * time.Minute
	orphaned   = 24 * time.Hour // a package nobody came back for
)

// Config is what a Handler needs.
type Config struct {
	Dir    string           // the agent's own, where packages are made; made with mode 0700
	Host   string           // the device's name, for the name of the package
	Server responder.Server // takes the package
	Points []Point          // what it has, in order
	About  func() any       // of the device and the agent, for the manifest; nil for nothing
	Log    *slog.Logger
	Now    func() time.Time                // nil for time.Now
	Space  func(dir string) (int64, error) // bytes that are free; nil asks the file system
	// Packed and Total bound the package in bytes; 0 means 512 MiB and 2 GiB.
	Packed, Total int64
}

// Handler carries out commands of Kind, one at a time.
type Handler struct{ cfg Config }

var _ responder.Handler = (*Handler)(nil)

// New returns a Handler and removes what an earlier agent left in its directory too long
// ago to be asked for again.
func New(c Config) (*Handler, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Space == nil {
		c.Space = freeSpace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Packed <= 0 {
		c.Packed = maxPacked
	}
	if c.Total <= 0 {
		c.Total = maxTotal
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	h := &Handler{c}
	h.clear(func(e os.FileInfo) bool {
		return c.Now().Sub(e.ModTime()) > orphaned || !strings.HasSuffix(e.Name(), ".zip")
	})
	return h, nil
}

// Kinds returns Kind.
func (h *Handler) Kinds() []string { return []string{Kind} }

// clear removes files of the directory.
func (h *Handler) clear(which func(os.FileInfo) bool) {
	list, err := os.ReadDir(h.cfg.Dir)
	if err != nil {
		h.cfg.Log.Warn("clearing old packages", "err", err)
		return
	}
	for _, e := range list {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && which(info) {
			_ = os.Remove(filepath.Join(h.cfg.Dir, e.Name()))
		}
	}
}

// Evidence is what a package's result holds.
type Evidence struct {
	Name   string                 `json:"name"`
	Size   int64                  `json:"size"` // bytes of the ZIP
	SHA256 string                 `json:"sha256"`
	Files  int                    `json:"files"`
	Cut    int                    `json:"cut"` // files that are not whole
	Points map[archive.Status]int `json:"dataPoints"`
	Again  bool                   `json:"collectedBefore,omitempty"` // made before the agent began anew
	// Wanting names the data points that failed or are not whole, at most 64.
	Wanting []string `json:"wanting,omitempty"`
}

// Handle makes the package and hands it over. Interrupted by the end of the agent it goes
// on with the package that was made, if it was.
func (h *Handler) Handle(ctx context.Context, c responder.Command) responder.Result {
	if h.cfg.Server == nil {
		return responder.Result{State: responder.Refused, Detail: "this agent has no way to hand files over"}
	}
	mark := sha256.Sum256([]byte(c.ID))
	path := filepath.Join(h.cfg.Dir, hex.EncodeToString(mark[:16])+".zip")
	h.clear(func(e os.FileInfo) bool { return e.Name() != filepath.Base(path) })
	ev, err := h.inspect(path)
	ev.Again = err == nil
	if err != nil {
		_ = os.Remove(path)
		if ev, err = h.make(ctx, c.ID, path); err != nil {
			return h.failed(ctx, path, err)
		}
	}
	ev.Name = fmt.Sprintf("InvestigationPackage_%s_%s.zip", plain(h.cfg.Host), ev.SHA256[:8])
	if err := h.handOver(ctx, c.ID, ev.Name, path); err != nil {
		return h.failed(ctx, path, fmt.Errorf("the package was made and could not be handed over: %w", err))
	}
	_ = os.Remove(path)
	detail := ""
	if n := ev.Points[archive.Failed] + ev.Points[archive.TimedOut] + ev.Points[archive.Partial]; n > 0 {
		detail = fmt.Sprintf("%d of the data points are not whole: %s.csv says which and why", n, archive.SummaryName)
	}
	raw, err := json.Marshal(ev)
	if err != nil {
		detail = err.Error()
	}
	return responder.Result{State: responder.Verified, Detail: detail, Evidence: raw}
}

// alive is how often the server is told that a package is still on its way: it would give
// a command up that it hears nothing of.
const alive = time.Minute

// handOver brings the package to the server.
func (h *Handler) handOver(ctx context.Context, command, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sent := make(chan error, 1)
	go func() { sent <- h.cfg.Server.Upload(ctx, command, 0, name, f) }()
	tick := time.NewTicker(alive)
	defer tick.Stop()
	for {
		h.progress(command, 90, "handing the package over")
		select {
		case err := <-sent:
			return err
		case <-tick.C:
		}
	}
}

// failed removes what there is of the package, unless the agent is ending, when the command
// comes again.
func (h *Handler) failed(ctx context.Context, path string, err error) responder.Result {
	if !errors.Is(ctx.Err(), context.Canceled) || errors.Is(context.Cause(ctx), responder.ErrStopped) {
		_ = os.Remove(path)
	}
	return responder.Result{State: responder.Failed, Detail: err.Error()}
}

// inspect returns the evidence of a package that is on the disk, whole.
func (h *Handler) inspect(path string) (Evidence, error) {
	f, err := os.Open(path)
	if err != nil {
		return Evidence{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Evidence{}, err
	}
	m, err := archive.Verify(f, st.Size())
	if err != nil {
		return Evidence{}, err
	}
	var about about
	if err := json.Unmarshal(m.About, &about); err != nil {
		return Evidence{}, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, st.Size())); err != nil {
		return Evidence{}, err
	}
	ev := Evidence{Size: st.Size(), SHA256: hex.EncodeToString(sum.Sum(nil)), Files: len(m.Files) + 1, Points: about.Points, Wanting: about.Wanting}
	for _, f := range m.Files {
		if f.Cut != "" {
			ev.Cut++
		}
	}
	return ev, nil
}

// about is what the manifest says of the collection.
type about struct {
	Command  string                 `json:"command"`
	Host     string                 `json:"host"`
	Started  time.Time              `json:"started"`
	Finished time.Time              `json:"finished"`
	Device   any                    `json:"device,omitempty"`
	Points   map[archive.Status]int `json:"dataPoints"`
	Wanting  []string               `json:"wanting,omitempty"`
}

// maxWanting bounds the data points that are named in the result.
const maxWanting = 64

// make collects into path, which is there only when the package is whole and on the disk.
func (h *Handler) make(ctx context.Context, command, path string) (ev Evidence, err error) {
	free, err := h.cfg.Space(h.cfg.Dir)
	if err != nil {
		return ev, err
	}
	// An entry lies on the disk twice for a moment.
	packed := min(h.cfg.Packed, (free-reserve)/2)
	if packed < leastSpace && packed < h.cfg.Packed {
		return ev, fmt.Errorf("the disk has %d MiB free: a package is not begun with less than %d MiB", free>>20, (reserve+2*leastSpace)>>20)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return ev, err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err == nil {
			err = os.Rename(part, path)
		}
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	w := archive.NewWriter(f, archive.Config{Dir: h.cfg.Dir, Total: h.cfg.Total, Packed: packed, Now: h.cfg.Now})
	a := about{Command: command, Host: h.cfg.Host, Started: h.cfg.Now().UTC(), Points: map[archive.Status]int{}}
	outcomes, err := h.collect(ctx, command, w)
	if err != nil {
		return ev, err
	}
	for _, o := range outcomes {
		a.Points[o.Status]++
		if o.Status != archive.Succeeded && o.Status != archive.NotAvailable && len(a.Wanting) < maxWanting {
			a.Wanting = append(a.Wanting, archive.Cell(o.Point))
		}
	}
	a.Finished = h.cfg.Now().UTC()
	if h.cfg.About != nil {
		a.Device = h.cfg.About()
	}
	if err := w.Close(a); err != nil {
		return ev, err
	}
	if err := f.Sync(); err != nil {
		return ev, err
	}
	// What counts is what is on the disk, and not what was meant to be written.
	ev, err = h.inspect(part)
	if err != nil {
		return ev, fmt.Errorf("the package is not what was written: %w", err)
	}
	return ev, nil
}

// collect takes the data points and writes the summary.
func (h *Handler) collect(ctx context.Context, command string, w *archive.Writer) ([]archive.Outcome, error) {
	end := h.cfg.Now().Add(maxTime)
	var outcomes []archive.Outcome
	for i, p := range h.cfg.Points {
		h.progress(command, i*90/len(h.cfg.Points), p.Name)
		outcomes = append(outcomes, h.take(ctx, p, w, end))
		if err := w.Err(); err != nil {
			return nil, fmt.Errorf("%s: writing the package: %w", p.Name, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	for _, s := range []struct {
		ext   string
		write func(io.Writer, []archive.Outcome) error
	}{{".csv", archive.SummaryCSV}, {".xlsx", archive.SummaryXLSX}} {
		e, err := w.Create("", archive.SummaryName+s.ext, archive.Info{Source: "the agent"})
		if err == nil {
			err = errors.Join(s.write(e, outcomes), e.Close())
		}
		if err != nil {
			return nil, fmt.Errorf("writing the summary: %w", err)
		}
	}
	return outcomes, nil
}

func (h *Handler) progress(command string, percent int, detail string) {
	h.cfg.Server.Progress(command, responder.Progress{Percent: percent, Detail: detail})
}

// plain makes a host's name part of a file's.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '.') {
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s[:min(len(s), 100)], ".")
}
