package transfer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/mounttest"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/blob"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
	"github.com/vedette-edr/vedette/server/store"
	"github.com/vedette-edr/vedette/server/transfer"
)

const tenant ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"

var analyst = &access.Principal{Actor: ident.Actor{Kind: ident.ActorUser, ID: "u", Name: "ana@example", Tenant: tenant}, Rights: []access.Right{access.LiveResponseAdvanced}, Scope: access.Everything}

type fixture struct {
	*transfer.Service
	t        *testing.T
	dir      string
	blobs    *blob.Dir
	actions  *action.Service
	dispatch *action.Dispatcher
	library  *library.Service
	device   *device.Device
	other    *device.Device
	action   *action.Action
	now      time.Time
}

// setup makes a device that was handed a live response which gets two files, runs a script
// and puts one of the library.
func setup(t *testing.T, blobs string) *fixture {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	f := &fixture{t: t, dir: blobs, now: time.Now()}
	devices := make([]*device.Device, 2)
	for i, id := range []ident.DeviceID{"0000000000000000000000000000000000000001", "0000000000000000000000000000000000000002"} {
		must(t, s.Devices().Create(t.Context(), &device.Device{ID: id, Tenant: tenant, Name: "host", Incarnation: 1, LastSeen: f.now}))
		devices[i], err = s.Devices().Get(t.Context(), tenant, id)
		must(t, err)
	}
	f.device, f.other = devices[0], devices[1]
	f.blobs, err = blob.Open(blobs)
	must(t, err)
	lib := library.New(library.Config{Store: s.Library(), Blobs: f.blobs})
	f.library = lib
	for _, name := range []string{"put.bin", "run.sh", "secret"} {
		_, err = lib.Put(t.Context(), analyst, library.Upload{Name: name, Content: bytes.NewReader([]byte("of " + name))})
		must(t, err)
	}
	conf := action.Config{Store: s.Actions(), Devices: s.Devices(), Library: lib, Blobs: f.blobs, Atomic: s.Atomic}
	f.actions, f.dispatch = action.NewService(conf), action.NewDispatcher(conf)
	param := func(k, v string) []action.Param { return []action.Param{{Key: k, Value: v}} }
	f.action, err = f.actions.Request(t.Context(), analyst, action.Request{Device: f.device.ID, Kind: action.LiveResponse, Comment: "x", Commands: []action.LiveCommand{
		{Kind: action.PutFile, Params: param("FileName", "put.bin")}, {Kind: action.RunScript, Params: param("ScriptName", "run.sh")},
		{Kind: action.GetFile, Params: param("Path", "/a")}, {Kind: action.GetFile, Params: param("Path", "/b")},
		{Kind: action.GetFile, Params: param("Path", "/c")}, {Kind: action.GetFile, Params: param("Path", "/d")},
	}})
	must(t, err)
	f.restart(0)
	return f
}

// deliver hands the action to the device.
func (f *fixture) deliver() {
	_, err := f.dispatch.Pending(context.Background(), f.device, nil)
	must(f.t, err)
}

// restart opens everything again that is of this package.
func (f *fixture) restart(quota int64) {
	f.t.Helper()
	var err error
	f.blobs, err = blob.Open(f.dir)
	must(f.t, err)
	f.Service, err = transfer.New(transfer.Config{Blobs: f.blobs, Owners: []transfer.Owner{f.dispatch}, Clock: func() time.Time { return f.now }, TenantBytes: quota})
	must(f.t, err)
}

func (f *fixture) piece(content []byte, index int, from, to int) transfer.Piece {
	sum := sha256.Sum256(content)
	return transfer.Piece{Command: f.action.ID, Index: index, Name: "a file", Size: int64(len(content)), SHA256: sum[:], Offset: int64(from), Data: content[from:to]}
}

func (f *fixture) artifact(index int) ([]byte, string) {
	f.t.Helper()
	a, err := f.actions.Get(context.Background(), tenant, f.action.ID)
	must(f.t, err)
	for _, r := range a.Artifacts {
		if r.Index == index {
			file, err := f.blobs.Open(r.SHA256)
			must(f.t, err)
			defer func() { _ = file.Close() }()
			b, err := io.ReadAll(file)
			must(f.t, err)
			return b, r.Name
		}
	}
	return nil, ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(b) // never fails
	return b
}

func TestAFileComesInPiecesOverRestarts(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	content := noise(3_000_000, 1)
	r := rand.New(rand.NewPCG(1, 2))
	at := 0
	for n := 0; ; n++ {
		if r.IntN(3) == 0 {
			f.restart(0)
			offset, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 2, 0, 0))
			must(t, err)
			if kept || offset != int64(at) {
				t.Fatalf("after a restart there are %d bytes (kept %v), not %d", offset, kept, at)
			}
		}
		to := min(len(content), at+1+r.IntN(300_000))
		offset, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 2, at, to))
		must(t, err)
		if r.IntN(2) == 0 && !kept { // the answer was lost: it comes again, at the wrong place
			again, _, err := f.Upload(t.Context(), f.device, f.piece(content, 2, at, to))
			must(t, err)
			if again != offset {
				t.Fatalf("a piece that came again made %d of %d", again, offset)
			}
		}
		if kept {
			break
		}
		at = int(offset)
	}
	if got, name := f.artifact(2); !bytes.Equal(got, content) || name != "a file" {
		t.Errorf("%d bytes of %q arrived", len(got), name)
	}
	// Its answer may have been lost.
	if offset, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 2, 0, 0)); !kept || offset != int64(len(content)) || err != nil {
		t.Errorf("asked again: %d, %v, %v", offset, kept, err)
	}
	left, err := filepath.Glob(filepath.Join(f.dir, "part", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}

func TestAnEmptyFileIsAFile(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	if _, kept, err := f.Upload(t.Context(), f.device, f.piece(nil, 3, 0, 0)); !kept || err != nil {
		t.Fatal(kept, err)
	}
	if got, name := f.artifact(3); len(got) != 0 || name == "" {
		t.Errorf("%d bytes of %q", len(got), name)
	}
}

func TestTwoComeAtOnce(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	var wg sync.WaitGroup
	contents := [][]byte{noise(400_000, 1), noise(400_000, 2)}
	for i, content := range contents {
		for range 2 { // and each by two, as after a break that only one side noticed
			wg.Go(func() {
				at := 0
				for {
					offset, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 2+i, at, min(at+10_000, len(content))))
					if err != nil {
						t.Error(err)
						return
					}
					if kept {
						return
					}
					at = int(offset)
				}
			})
		}
	}
	wg.Wait()
	for i, content := range contents {
		if got, _ := f.artifact(2 + i); !bytes.Equal(got, content) {
			t.Errorf("file %d: %d bytes arrived", i, len(got))
		}
	}
}

func TestAWrongHashStartsOver(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	p := f.piece([]byte("what was said"), 2, 0, 13)
	p.Data = []byte("not the same!")
	if offset, kept, err := f.Upload(t.Context(), f.device, p); offset != 0 || kept || err != nil {
		t.Fatal(offset, kept, err)
	}
	if got, _ := f.artifact(2); got != nil {
		t.Error("it was kept")
	}
	if _, kept, err := f.Upload(t.Context(), f.device, f.piece([]byte("what was said"), 2, 0, 13)); !kept || err != nil {
		t.Fatal(kept, err)
	}
}

func TestWhatIsNotExpectedIsRefused(t *testing.T) {
	f := setup(t, t.TempDir())
	content := []byte("content")
	if _, _, err := f.Upload(t.Context(), f.device, f.piece(content, 2, 0, 7)); !errs.Is(err, errs.Conflict) {
		t.Errorf("before it was handed out: %v", err)
	}
	f.deliver()
	for name, c := range map[string]struct {
		change func(*transfer.Piece)
		kind   errs.Kind
	}{
		"negative offset":   {func(p *transfer.Piece) { p.Offset = -1 }, errs.Invalid},
		"offset beyond":     {func(p *transfer.Piece) { p.Offset = 1 }, errs.Invalid},
		"offset overflows":  {func(p *transfer.Piece) { p.Offset = 1<<63 - 1 }, errs.Invalid},
		"negative size":     {func(p *transfer.Piece) { p.Size = -1 }, errs.Invalid},
		"size above 3 GiB":  {func(p *transfer.Piece) { p.Size = 3<<30 + 1 }, errs.Invalid},
		"short hash":        {func(p *transfer.Piece) { p.SHA256 = p.SHA256[:31] }, errs.Invalid},
		"no hash":           {func(p *transfer.Piece) { p.SHA256 = nil }, errs.Invalid},
		"too much at once":  {func(p *transfer.Piece) { p.Data, p.Size = make([]byte, transfer.MaxPiece+1), 1<<30 }, errs.Invalid},
		"path":              {func(p *transfer.Piece) { p.Name = "../../etc/passwd" }, errs.Invalid},
		"dots":              {func(p *transfer.Piece) { p.Name = ".." }, errs.Invalid},
		"backslash":         {func(p *transfer.Piece) { p.Name = `..\x` }, errs.Invalid},
		"newline":           {func(p *transfer.Piece) { p.Name = "a\nb" }, errs.Invalid},
		"no name":           {func(p *transfer.Piece) { p.Name = "" }, errs.Invalid},
		"no text":           {func(p *transfer.Piece) { p.Name = "\xff" }, errs.Invalid},
		"index beyond":      {func(p *transfer.Piece) { p.Index = 6 }, errs.Invalid},
		"negative index":    {func(p *transfer.Piece) { p.Index = -1 }, errs.Invalid},
		"unknown command":   {func(p *transfer.Piece) { p.Command = "00000000-0000-4000-8000-000000000000" }, errs.NotFound},
		"command of others": {func(*transfer.Piece) {}, errs.NotFound},
	} {
		p, d := f.piece(content, 2, 0, 7), f.device
		c.change(&p)
		if name == "command of others" {
			d = f.other
		}
		if _, _, err := f.Upload(t.Context(), d, p); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	reborn := *f.device
	reborn.Incarnation++
	if _, _, err := f.Upload(t.Context(), &reborn, f.piece(content, 2, 0, 7)); !errs.Is(err, errs.NotFound) {
		t.Errorf("of a later incarnation: %v", err)
	}
	must(t, f.dispatch.Result(t.Context(), f.device, action.Result{ID: f.action.ID, State: "verified"}))
	if _, _, err := f.Upload(t.Context(), f.device, f.piece(content, 2, 0, 7)); !errs.Is(err, errs.Conflict) {
		t.Errorf("after its end: %v", err)
	}
}

func TestTheHashOfAnothersFileOpensNothing(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	// The library has this content, and the device knows its hash.
	offset, kept, err := f.Upload(t.Context(), f.device, f.piece([]byte("of secret"), 2, 0, 0))
	if offset != 0 || kept || err != nil {
		t.Fatal(offset, kept, err)
	}
}

func TestWhatADeviceOccupiesIsBounded(t *testing.T) {
	f := setup(t, t.TempDir())
	f.deliver()
	content := noise(1000, 1)
	for i := range 4 {
		_, _, err := f.Upload(t.Context(), f.device, f.piece(content, i, 0, 10))
		must(t, err)
	}
	_, _, err := f.Upload(t.Context(), f.device, f.piece(content, 4, 0, 10))
	var e *errs.E
	if !errors.As(err, &e) || e.Kind != errs.Limited || e.Retry <= 0 {
		t.Errorf("a fifth file: %v", err)
	}
	f.restart(4000)
	if _, _, err := f.Upload(t.Context(), f.device, f.piece(content, 4, 0, 10)); !errs.Is(err, errs.Limited) {
		t.Errorf("a fifth file after a restart: %v", err)
	}
	if _, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 0, 10, 1000)); !kept || err != nil {
		t.Fatal(kept, err)
	}
	if _, _, err := f.Upload(t.Context(), f.device, f.piece(noise(1001, 2), 4, 0, 10)); !errs.Is(err, errs.Limited) {
		t.Errorf("beyond the tenant's bytes: %v", err)
	}
	// Another content for an index takes the place of the one before.
	if offset, _, err := f.Upload(t.Context(), f.device, f.piece(noise(900, 3), 1, 0, 20)); err != nil || offset != 20 {
		t.Errorf("another content: %d, %v", offset, err)
	}
	f.now = f.now.Add(4 * 24 * time.Hour)
	must(t, f.Sweep())
	if left, err := filepath.Glob(filepath.Join(f.dir, "part", "*")); err != nil || len(left) != 0 {
		t.Errorf("after four days: %v, %v", left, err)
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	dir := mounttest.Tmpfs(t, "size=4m")
	f := setup(t, dir)
	f.deliver()
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 2<<20), 0o600))
	content := noise(3<<20, 1)
	at, full := 0, 0
	for {
		offset, kept, err := f.Upload(t.Context(), f.device, f.piece(content, 2, at, min(at+500_000, len(content))))
		if err != nil {
			var e *errs.E
			if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.Code != errs.StoreFull || e.Retry <= 0 {
				t.Fatalf("on a full disk: %v", err)
			}
			if full++; full == 2 {
				must(t, os.Remove(ballast))
				f.restart(0) // nothing of the piece that did not fit is taken for content
			}
			continue
		}
		if kept {
			break
		}
		at = int(offset)
	}
	if got, _ := f.artifact(2); full < 2 || !bytes.Equal(got, content) {
		t.Errorf("the disk was full %d times; %d bytes arrived", full, len(got))
	}
}

func TestOnlyWhatTheCommandNamesIsGiven(t *testing.T) {
	f := setup(t, t.TempDir())
	get := func(d *device.Device, name string) (string, error) {
		file, size, sum, err := f.Fetch(t.Context(), d, f.action.ID, name)
		if err != nil {
			return "", err
		}
		defer func() { _ = file.Close() }()
		b, err := io.ReadAll(file)
		if want := sha256.Sum256(b); size != int64(len(b)) || !bytes.Equal(sum, want[:]) {
			t.Errorf("%s: size %d, sum %x", name, size, sum)
		}
		return string(b), err
	}
	if _, err := get(f.device, "put.bin"); !errs.Is(err, errs.NotFound) {
		t.Errorf("before it was handed out: %v", err)
	}
	f.deliver()
	for _, name := range []string{"put.bin", "run.sh"} {
		if got, err := get(f.device, name); got != "of "+name || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, err := get(f.other, name); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s for another device: %v", name, err)
		}
	}
	for _, name := range []string{"secret", "/a", "", "../put.bin"} {
		if _, err := get(f.device, name); !errs.Is(err, errs.NotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	must(t, f.dispatch.Result(t.Context(), f.device, action.Result{ID: f.action.ID, State: "failed", Detail: "x"}))
	if _, err := get(f.device, "put.bin"); !errs.Is(err, errs.NotFound) {
		t.Errorf("after its end: %v", err)
	}
}

// TestAFileOfTheLibraryIsWhatWasAskedFor replaces a script after an action asked for it: the
// action ends before its device has it, and a device that has it does not get the other file.
func TestAFileOfTheLibraryIsWhatWasAskedFor(t *testing.T) {
	swap := func(f *fixture, content string) {
		_, err := f.library.Put(t.Context(), analyst, library.Upload{Name: "run.sh", Content: bytes.NewReader([]byte(content)), Override: true})
		must(t, err)
	}
	f := setup(t, t.TempDir())
	swap(f, "another")
	w, err := f.dispatch.Pending(t.Context(), f.device, nil)
	must(t, err)
	a, err := f.actions.Get(t.Context(), tenant, f.action.ID)
	must(t, err)
	if len(w.Commands) != 0 || a.State != action.Failed || !strings.Contains(a.Error, `"run.sh" was replaced after the action was asked for`) {
		t.Errorf("%d commands; the action is %s: %s", len(w.Commands), a.State, a.Error)
	}

	f = setup(t, t.TempDir())
	f.deliver()
	swap(f, "another")
	if _, _, _, err := f.Fetch(t.Context(), f.device, f.action.ID, "run.sh"); !errs.Is(err, errs.Conflict) {
		t.Errorf("a file that was replaced: %v", err)
	}
	swap(f, "of run.sh") // what was asked for is there again
	in, _, _, err := f.Fetch(t.Context(), f.device, f.action.ID, "run.sh")
	must(t, err)
	must(t, in.Close())

	f = setup(t, t.TempDir())
	must(t, f.library.Delete(t.Context(), analyst, "put.bin"))
	_, err = f.dispatch.Pending(t.Context(), f.device, nil)
	must(t, err)
	if a, err := f.actions.Get(t.Context(), tenant, f.action.ID); err != nil || a.State != action.Failed || !strings.Contains(a.Error, "was deleted") {
		t.Errorf("a file that was deleted: %+v, %v", a, err)
	}
}
