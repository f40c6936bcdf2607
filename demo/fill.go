package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/vedette-edr/vedette/agent/link"
	"github.com/vedette-edr/vedette/fleetsim"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/wire"
)

// step is how much of the week passes between two looks at whether everything has arrived.
const step = 2 * time.Hour

// mark is the content of markFile.
type mark struct {
	Seed    uint64
	Devices int
	Hostile bool
}

func (c Config) mark() mark { return mark{c.Seed, c.Devices, c.Hostile} }

func sameDemo(raw []byte, c Config) (bool, error) {
	var was mark
	if err := json.Unmarshal(raw, &was); err != nil {
		return false, err
	}
	if was != c.mark() {
		return false, fmt.Errorf("another demonstration was filled in: seed %d, %d devices, hostile %v", was.Seed, was.Devices, was.Hostile)
	}
	return true, nil
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.conf.Out, format+"\n", args...) }

// fill lets the week happen.
func (w *world) fill(ctx context.Context, file string) error {
	begin, clock := time.Now(), w.clock
	begun := clock.Now()
	w.say("Enrolling %d devices …", len(w.company.hosts))
	if err := w.fleet.Enrol(ctx); err != nil {
		return err
	}
	if err := w.fleet.Start(ctx); err != nil {
		return err
	}
	d := &desk{world: w, ctx: ctx}
	if err := d.setUp(); err != nil {
		return err
	}
	cues := script(w.company, w.end, w.conf.Hostile)
	i, total, last := 0, 0, -1
	for from := begun; from.Before(w.end); from = from.Add(step) {
		to := from.Add(step)
		if to.After(w.end) {
			to = w.end
		}
		for ; i < len(cues) && !cues[i].at.After(to); i++ {
			n, err := w.play(ctx, d, &cues[i])
			if err != nil {
				return err
			}
			total += n
		}
		clock.Set(to)
		if err := w.hush(to); err != nil {
			return err
		}
		total += w.emitEveryday(from, to)
		if err := w.settle(ctx); err != nil {
			return err
		}
		if day := int(to.Sub(begun) / (24 * time.Hour)); day > last {
			last = day
			w.say("Day %d of %d: %d events, %v", day+1, w.conf.Days, total, time.Since(begin).Round(time.Second))
		}
	}
	clock.Release()
	if err := d.finish(); err != nil {
		return err
	}
	raw, err := json.Marshal(w.conf.mark())
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	w.say("The week is over: %d events of %d devices in %v.", total, len(w.company.hosts), time.Since(begin).Round(time.Second))
	return err
}

// play lets one cue happen and waits until the server knows.
func (w *world) play(ctx context.Context, d *desk, c *cue) (int, error) {
	w.clock.Set(c.at)
	if c.do != nil {
		if err := c.do(d); err != nil {
			return 0, fmt.Errorf("%s: %w", c.about, err)
		}
		return 0, nil
	}
	dev := w.fleet.Devices()[c.host.index]
	dev.Emit(c.events...)
	return len(c.events), w.settleOne(ctx, dev)
}

func (w *world) emitEveryday(from, to time.Time) (n int) {
	for _, h := range w.company.hosts {
		if w.hushed(h, to) {
			continue
		}
		for chunk := range slices.Chunk(everyday(w.company, h, from, to, w.conf.Density), 4000) {
			w.fleet.Devices()[h.index].Emit(chunk...)
			n += len(chunk)
		}
	}
	return n
}

// silence is how long before the end of the week some devices were heard last.
const silence = 60 * time.Hour

func (w *world) hushed(h *host, at time.Time) bool { return h.silent && at.After(w.end.Add(-silence)) }

// hush ends the devices that are not heard any more.
func (w *world) hush(at time.Time) error {
	var err error
	for _, h := range w.company.hosts {
		if w.hushed(h, at) {
			err = errors.Join(err, w.fleet.Devices()[h.index].Close())
		}
	}
	return err
}

// patience is how long a device may take to bring away what it holds.
const patience = 2 * time.Minute

func (w *world) settle(ctx context.Context) error {
	for i, d := range w.fleet.Devices() {
		if w.hushed(w.company.hosts[i], w.clock.Now()) {
			continue
		}
		if err := w.settleOne(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) settleOne(ctx context.Context, d *fleetsim.Device) error {
	wait := time.NewTicker(5 * time.Millisecond)
	defer wait.Stop()
	for begin := time.Now(); ; {
		st := d.Spool()
		if st.Batches == 0 && st.Spooled+st.Dropped >= st.Emitted {
			return nil
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("%s holds %d batches back: %s", d.Name(), st.Batches, d.Status().Problem)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// resume starts the devices of a demonstration that was filled in before.
func (w *world) resume(ctx context.Context) error {
	if err := w.fleet.Enrol(ctx); err != nil {
		return err
	}
	return w.startSome(ctx)
}

func (w *world) startSome(ctx context.Context) error {
	var err error
	for i, d := range w.fleet.Devices() {
		if !w.company.hosts[i].silent {
			err = errors.Join(err, d.Start(ctx))
		}
	}
	return err
}

// live lets the devices go on with what they do every day.
func (w *world) live(ctx context.Context) error {
	const pace = 10 * time.Second
	t := time.NewTicker(pace)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			for _, h := range w.company.hosts {
				if h.silent {
					continue
				}
				if e := everyday(w.company, h, now.Add(-pace), now, w.conf.Density); len(e) > 0 {
					w.fleet.Devices()[h.index].Emit(within(e, now)...)
				}
			}
		}
	}
}

// within leaves out what would happen after a time.
func within(events []*event.Event, now time.Time) []*event.Event {
	return slices.DeleteFunc(events, func(e *event.Event) bool { return e.Time.After(now) })
}

// answer is what becomes of a command on a device of the demonstration.
func (w *world) answer(_ context.Context, d *fleetsim.Device, c *wire.Command) link.Result {
	if h := w.company.hosts[d.Index()]; h.called != "" {
		detail, evidence := hostileResult(h.owner.login)
		return link.Result{State: "verified", Detail: detail, Evidence: evidence}
	}
	detail := map[string]string{
		"isolate": "only the server and loopback can be reached; a probe to an outside address was refused", "unisolate": "the network is as it was; a probe got through",
		"runantivirusscan": "finished; nothing found", "restrictcodeexecution": "programs outside of system directories are refused; a probe was refused",
		"unrestrictcodeexecution": "a probe program ran",
	}[c.Kind]
	if detail == "" {
		detail = "carried out by a simulated device"
	}
	return link.Result{State: "verified", Detail: detail, Evidence: []byte(`{"simulated":true}`)}
}
