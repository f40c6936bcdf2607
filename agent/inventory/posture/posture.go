// Package posture says how a device is set up, as far as its security depends on it: the
// state of some settings, firmware and hardware, the certificates it trusts, and the
// extensions of its users' browsers.
//
// It reads files and changes nothing. Every check that it makes is one of the server's
// list of configurations, by id; what cannot be found out is not reported as compliant,
// and the check is then not applicable. Everything is bounded: certificates and profiles
// of browsers are files that users of the device may write. Start at Collector.Collect.
package posture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
)

const (
	maxText = 512
	maxFile = 4 << 20
	// again is how long an answer stands before files are read anew.
	again = 10 * time.Minute
)

// Config is what a Collector needs. The zero value of every member works.
type Config struct {
	Root string           // "" for /
	Now  func() time.Time // nil for time.Now
}

// Report is the state of a device, each part as items of a section of the inventory.
type Report struct {
	Configuration []json.RawMessage
	Hardware      []json.RawMessage
	Certificates  []json.RawMessage
	Extensions    []json.RawMessage
	Problems      []string // what could not be read whole
}

// Collector makes reports, a new one every ten minutes at most. It is safe for concurrent
// use.
type Collector struct {
	cfg Config

	mu   sync.Mutex
	at   time.Time
	last *Report
}

// New returns a Collector.
func New(c Config) *Collector {
	c.Root = cmp.Or(c.Root, "/")
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Collector{cfg: c}
}

// Collect returns the state of the device. The report is not the caller's to change.
func (c *Collector) Collect() *Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	if c.last != nil && now.Sub(c.at) < again && !now.Before(c.at) {
		return c.last
	}
	r := &Report{}
	r.Configuration = items(c.checks())
	r.Hardware = items(c.hardware())
	certs, problem := c.certificates()
	r.Certificates = items(certs)
	if problem != "" {
		r.Problems = append(r.Problems, problem)
	}
	extensions, problem := c.extensions()
	r.Extensions = items(extensions)
	if problem != "" {
		r.Problems = append(r.Problems, problem)
	}
	c.at, c.last = now, r
	return r
}

func items[T any](list []T) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(list))
	for _, v := range list {
		if raw, err := json.Marshal(v); err == nil { // plain values: cannot fail
			out = append(out, raw)
		}
	}
	return out
}

func (c *Collector) path(name string) string { return filepath.Join(c.cfg.Root, name) }

// text reads a regular file, whole or not at all.
func (c *Collector) text(name string) (string, error) {
	// Without O_NONBLOCK opening a user's fifo would wait for ever.
	f, err := os.OpenFile(c.path(name), os.O_RDONLY|nonblock, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() || st.Size() > maxFile {
		return "", fmt.Errorf("%s: no regular file of at most %d bytes", name, maxFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(b), err
}

func (c *Collector) line(name string) string {
	s, _ := c.text(name)
	s, _, _ = strings.Cut(s, "\n")
	return clean(s)
}

func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.Trim(s, " \t\x00"), "\uFFFD"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// Component is a part of the machine, as its firmware names it.
type Component struct {
	Type         string            `json:"componentType"` // Bios, Processor, Device, BaseBoard
	Manufacturer string            `json:"manufacturer,omitempty"`
	Name         string            `json:"componentName,omitempty"`
	Family       string            `json:"componentFamily,omitempty"`
	Version      string            `json:"componentVersion,omitempty"`
	Fields       map[string]string `json:"additionalFields,omitempty"`
}

// hardware reads what firmware and kernel say of the machine.
func (c *Collector) hardware() []Component {
	dmi := func(name string) string { return c.line("sys/class/dmi/id/" + name) }
	var out []Component
	add := func(v Component) {
		for k, s := range v.Fields {
			if s == "" {
				delete(v.Fields, k)
			}
		}
		if v.Manufacturer != "" || v.Name != "" || v.Version != "" {
			out = append(out, v)
		}
	}
	add(Component{Type: "Bios", Manufacturer: dmi("bios_vendor"), Name: dmi("bios_vendor"), Version: dmi("bios_version"),
		Fields: map[string]string{"ReleaseDate": dmi("bios_date")}})
	add(Component{Type: "Hardware", Manufacturer: dmi("sys_vendor"), Name: dmi("product_name"), Family: dmi("product_family"), Version: dmi("product_version"),
		Fields: map[string]string{"SystemSKU": dmi("product_sku"), "BaseBoardManufacturer": dmi("board_vendor"),
			"BaseBoardProduct": dmi("board_name"), "BaseBoardVersion": dmi("board_version"), "DeviceFamily": "Linux"}})
	cpu := Component{Type: "Processor"}
	info, _ := c.text("proc/cpuinfo")
	for line := range strings.SplitSeq(info, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			if cpu.Name != "" {
				break // one processor is enough
			}
			continue
		}
		switch strings.TrimSpace(name) {
		case "vendor_id":
			cpu.Manufacturer = clean(value)
		case "model name":
			cpu.Name = clean(value)
		case "microcode":
			cpu.Version = clean(value)
		}
	}
	add(cpu)
	return out
}
