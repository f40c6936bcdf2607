// Package policy is what the owner of a device lets commands do to it, whoever signed them:
// kinds that are refused, paths and processes that no command touches, the approvers whose
// own signatures some kinds need, and what happens when the device is offboarded.
//
// It is a file on the device, read at start. No command reads, changes or lifts it: an agent
// without one does what its server commands, and an agent whose file cannot be read, belongs
// to somebody else or is not wholly understood does not start, because running without the
// floor that somebody asked for would be worse than not running. Start at Load.
package policy

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// System is where a machine's policy is looked for when none is named and the state
// directory has none.
const System = "/etc/vedette/agent-policy.json"

// Offboarding is what the agent does when it is offboarded.
type Offboarding string

// The ways of offboarding.
const (
	Idle      Offboarding = "idle"      // it stays installed and does nothing more
	Uninstall Offboarding = "uninstall" // it removes itself
	Refuse    Offboarding = "refuse"    // it does not let itself be offboarded
)

// Approver is somebody whose signature counts.
type Approver struct {
	Name string `json:"name"` // for people
	Key  []byte `json:"key"`  // ed25519 public key, base64 in the file
}

// Policy is the content of the file. The zero Policy lets everything pass.
type Policy struct {
	// Refused are kinds of command that the device never carries out, such as liveresponse.
	Refused []string `json:"refuse,omitempty"`
	// Approvers and Thresholds: so many of them must have signed a command of a kind.
	Approvers  []Approver     `json:"approvers,omitempty"`
	Thresholds map[string]int `json:"thresholds,omitempty"`
	// ProtectedPaths are files and directories, with all below, that no command quarantines,
	// changes or removes.
	ProtectedPaths []string `json:"protectedPaths,omitempty"`
	// ProtectedProcesses are programs, by the path of their file, that no command stops.
	ProtectedProcesses []string `json:"protectedProcesses,omitempty"`
	// Offboarding says what happens when the device is offboarded; "" is Idle.
	Offboarding Offboarding `json:"offboard,omitempty"`

	own []string // what the policy itself hangs on: its files and the agent's state
}

// Bounds of the file.
const (
	maxFile  = 1 << 20
	maxItems = 1000
)

var kindForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// Load reads the policy: of file when it is not "", else that of the state directory, else
// that of the machine, else the zero Policy. It returns where it found it, "" for nowhere.
func Load(file, stateDir string) (Policy, string, error) {
	own := []string{filepath.Clean(stateDir), System}
	if file != "" {
		p, err := read(file)
		p.own = append(own, filepath.Clean(file))
		return p, file, err
	}
	for _, f := range []string{filepath.Join(stateDir, "policy.json"), System} {
		p, err := read(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p.own = own
		return p, f, err
	}
	return Policy{own: own}, "", nil
}

func read(file string) (Policy, error) {
	f, err := os.Open(file)
	if err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	defer f.Close()
	if err := trusted(f); err != nil {
		return Policy{}, fmt.Errorf("policy: %s: %w", file, err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	if len(raw) > maxFile {
		return Policy{}, fmt.Errorf("policy: %s is longer than %d bytes", file, maxFile)
	}
	p, err := Parse(raw)
	if err != nil {
		return Policy{}, fmt.Errorf("policy: %s: %w", file, err)
	}
	return p, nil
}

// Parse reads the content of the file; what is not wholly understood is an error that names
// the place.
func Parse(raw []byte) (Policy, error) {
	var p Policy
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Policy{}, err
	}
	if dec.More() {
		return Policy{}, errors.New("there is something behind the object")
	}
	return p, p.check()
}

func (p *Policy) check() error {
	for name, n := range map[string]int{"refuse": len(p.Refused), "approvers": len(p.Approvers), "thresholds": len(p.Thresholds),
		"protectedPaths": len(p.ProtectedPaths), "protectedProcesses": len(p.ProtectedProcesses)} {
		if n > maxItems {
			return fmt.Errorf("%s: %d items, at most %d", name, n, maxItems)
		}
	}
	for i, k := range p.Refused {
		if !kindForm.MatchString(k) {
			return fmt.Errorf("refuse[%d]: %q is no kind of command, which are words in lower case", i, k)
		}
	}
	for i, a := range p.Approvers {
		if len(a.Key) != ed25519.PublicKeySize {
			return fmt.Errorf("approvers[%d]: the key of %q has %d bytes, an ed25519 key has %d", i, a.Name, len(a.Key), ed25519.PublicKeySize)
		}
		if slices.ContainsFunc(p.Approvers[:i], func(b Approver) bool { return bytes.Equal(a.Key, b.Key) }) {
			return fmt.Errorf("approvers[%d]: the key of %q is there already", i, a.Name)
		}
	}
	for k, n := range p.Thresholds {
		switch {
		case !kindForm.MatchString(k):
			return fmt.Errorf("thresholds: %q is no kind of command", k)
		case n < 0 || n > len(p.Approvers):
			return fmt.Errorf("thresholds: %s needs %d approvers, and there are %d", k, n, len(p.Approvers))
		}
	}
	for name, list := range map[string][]string{"protectedPaths": p.ProtectedPaths, "protectedProcesses": p.ProtectedProcesses} {
		for i, path := range list {
			if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
				return fmt.Errorf("%s[%d]: %q is no absolute path", name, i, path)
			}
			list[i] = filepath.Clean(path)
		}
	}
	switch p.Offboarding {
	case "", Idle, Uninstall, Refuse:
		return nil
	}
	return fmt.Errorf("offboard: %q is neither idle, uninstall nor refuse", p.Offboarding)
}

// Keys returns the approvers' keys, as the link wants them.
func (p *Policy) Keys() []ed25519.PublicKey {
	var out []ed25519.PublicKey
	for _, a := range p.Approvers {
		out = append(out, ed25519.PublicKey(a.Key))
	}
	return out
}

// Refuses returns the kinds that are never carried out.
func (p *Policy) Refuses() []string {
	if p.Offboarding == Refuse && !slices.Contains(p.Refused, "offboard") {
		return append(slices.Clone(p.Refused), "offboard")
	}
	return p.Refused
}

// ProtectsPath returns the entry by which a path is protected, "" for none. The path is
// absolute; whoever acts on a file asks for the path that the kernel has of it, so that no
// link leads around. The policy's own file and the agent's state are always protected.
func (p *Policy) ProtectsPath(path string) string {
	if e := covers(p.own, path); e != "" {
		return e
	}
	return covers(p.ProtectedPaths, path)
}

// Protected returns every path that is protected, with all below: those of files, of programs,
// and what the policy itself hangs on.
func (p *Policy) Protected() []string {
	return slices.Concat(p.own, p.ProtectedPaths, p.ProtectedProcesses)
}

// ProtectsProcess is ProtectsPath of the file of a running program.
func (p *Policy) ProtectsProcess(image string) string { return covers(p.ProtectedProcesses, image) }

func covers(list []string, path string) string {
	path = filepath.Clean(path)
	for _, e := range list {
		if path == e || e == "/" || strings.HasPrefix(path, e+"/") {
			return e
		}
	}
	return ""
}

// KeyText is a key as the file holds it.
func KeyText(k ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(k) }
