package action

import (
	"encoding/json"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
)

// Bounds of what is said of a containment.
const (
	maxAllowTargets  = 256
	maxAllowPrograms = 64
	maxAllowCgroups  = 16
	maxTrustHashes   = 1000
	maxTrustDirs     = 64
	maxPath          = 4096 // bytes
	maxMessage       = 1000 // characters
	maxTitle         = 100
)

// IsolationAllow is what a selectively isolated device may still do beside speaking to this
// server.
type IsolationAllow struct {
	// Targets may be reached by every program: ADDRESS or PREFIX, with :PORT or not, with
	// /tcp or /udp or not; a port needs a protocol. 10.0.0.0/8, 10.0.0.5:443/tcp,
	// [2001:db8::1]:53/udp.
	Targets []string
	// Programs are absolute paths of executables on the device, which may reach everything.
	Programs []string
	// Cgroups are paths below the root of the device's cgroup2 hierarchy, whose processes may
	// reach everything: /system.slice/postfix.service.
	Cgroups []string
}

// DefaultAllow is what a selective isolation allows when the request does not say. The
// published service lets Outlook, Teams and Skype for Business speak; these are what stands
// in their place on Linux, and the resolver, without which they find nobody.
func DefaultAllow() IsolationAllow {
	return IsolationAllow{Programs: []string{
		"/opt/teams-for-linux/teams-for-linux", "/usr/share/teams/teams", "/usr/lib/thunderbird/thunderbird", "/usr/lib64/thunderbird/thunderbird",
		"/usr/bin/evolution", "/usr/lib/systemd/systemd-resolved",
	}}
}

// allowTarget is a target as the device reads it.
type allowTarget struct {
	Prefix   string `json:"prefix"`
	Protocol string `json:"protocol,omitempty"`
	Port     uint16 `json:"port,omitempty"`
}

type allowParams struct {
	Targets  []allowTarget `json:"targets,omitempty"`
	Programs []string      `json:"programs,omitempty"`
	Cgroups  []string      `json:"cgroups,omitempty"`
}

// scopeSelective is the published IsolationType.
const scopeSelective = "Selective"

// isolateParams are what the device's responder gets.
type isolateParams struct {
	IsolationType string       `json:"isolationType"`
	ForceSelf     bool         `json:"forceSelf,omitempty"`
	Allow         *allowParams `json:"allow,omitempty"`
}

func (r *Request) checkIsolation() (json.RawMessage, error) {
	const op = "action.Request"
	p := isolateParams{ForceSelf: r.ForceSelf}
	switch {
	case r.Scope == "" || strings.EqualFold(r.Scope, "Full"):
		r.Scope = "Full"
		if r.Allow != nil {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow is for IsolationType Selective: Full allows nothing but this server")
		}
	case strings.EqualFold(r.Scope, "Selective"):
		r.Scope = scopeSelective
		allow := DefaultAllow()
		if r.Allow != nil {
			allow = *r.Allow
		}
		var err error
		if p.Allow, err = allow.check(); err != nil {
			return nil, err
		}
	case strings.EqualFold(r.Scope, "UnManagedDevice"):
		return nil, errs.New(op, errs.Unsupported, errs.InvalidInput, "IsolationType UnManagedDevice is not offered: the device has an agent that isolates it")
	default:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "IsolationType is neither Full nor Selective")
	}
	p.IsolationType = r.Scope
	// The device checks by itself whether it runs the server: it has to be told as well.
	return json.Marshal(p)
}

func (a IsolationAllow) check() (*allowParams, error) {
	const op = "action.Request"
	for _, l := range []struct {
		place string
		n     int
		most  int
	}{{"Addresses", len(a.Targets), maxAllowTargets}, {"Programs", len(a.Programs), maxAllowPrograms}, {"Cgroups", len(a.Cgroups), maxAllowCgroups}} {
		if l.n > l.most {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow.%s: received %d, allowed %d", l.place, l.n, l.most)
		}
	}
	if len(a.Targets)+len(a.Programs)+len(a.Cgroups) == 0 {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow names nothing: that is IsolationType Full")
	}
	p := &allowParams{}
	for i, s := range a.Targets {
		t, why := parseTarget(s)
		if why != "" {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow.Addresses[%d] %q: %s", i, clip(s), why)
		}
		p.Targets = append(p.Targets, t)
	}
	var err error
	if p.Programs, err = paths("Allow.Programs", a.Programs); err != nil {
		return nil, err
	}
	p.Cgroups, err = paths("Allow.Cgroups", a.Cgroups)
	return p, err
}

// parseTarget reads ADDRESS[/BITS][:PORT][/PROTOCOL]; an IPv6 address with a port stands in
// brackets. why says what is wrong, "" for nothing.
func parseTarget(s string) (t allowTarget, why string) {
	const form = "no address or range of addresses, such as 10.0.0.0/8, 10.0.0.5:443/tcp or [2001:db8::1]:53/udp"
	rest := s
	for _, p := range []string{"tcp", "udp"} {
		if cut, ok := strings.CutSuffix(rest, "/"+p); ok {
			rest, t.Protocol = cut, p
		}
	}
	addr := rest
	if in, ok := strings.CutPrefix(rest, "["); ok {
		var after string
		if addr, after, ok = strings.Cut(in, "]"); !ok {
			return t, form
		}
		rest = after
		if rest != "" && !strings.HasPrefix(rest, ":") {
			return t, form
		}
		rest = strings.TrimPrefix(rest, ":")
	} else if host, port, ok := strings.Cut(rest, ":"); ok && !strings.Contains(port, ":") {
		addr, rest = host, port
	} else {
		rest = ""
	}
	if rest != "" {
		n, err := strconv.ParseUint(rest, 10, 16)
		if err != nil || n == 0 {
			return t, "the port is not between 1 and 65535"
		}
		t.Port = uint16(n)
	}
	prefix, err := netip.ParsePrefix(addr)
	if err != nil {
		a, err := netip.ParseAddr(addr)
		if err != nil || a.Zone() != "" {
			return t, form
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		return t, "write it as IPv4"
	case t.Port != 0 && t.Protocol == "":
		return t, "a port needs a protocol: /tcp or /udp"
	}
	t.Prefix = prefix.Masked().String()
	return t, ""
}

// paths checks a list of names of files.
func paths(place string, list []string) ([]string, error) {
	for i, p := range list {
		if len(p) > maxPath || !utf8.ValidString(p) || !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsFunc(p, unicode.IsControl) {
			return nil, errs.New("action.Request", errs.Invalid, errs.InvalidInput, "%s[%d] %q is no clean absolute path", place, i, clip(p))
		}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list), nil
}

// clip bounds a text of a request that an error repeats.
func clip(s string) string {
	if r := []rune(strings.ToValidUTF8(s, "?")); len(r) > 100 {
		return string(r[:100]) + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// Trust is what may run on a device with restricted execution beside what its packages
// installed.
type Trust struct {
	Hashes      []string // SHA-256 or SHA-1 in hexadecimal
	Directories []string // absolute paths on the device; everything below may run
}

func (r *Request) checkRestriction() (json.RawMessage, error) {
	const op = "action.Request"
	r.Scope = ""
	var p struct {
		Hashes      []string `json:"hashes,omitempty"`
		Directories []string `json:"directories,omitempty"`
	}
	if r.Trust == nil {
		return json.Marshal(p)
	}
	if n := len(r.Trust.Hashes); n > maxTrustHashes {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow.Hashes: received %d, allowed %d", n, maxTrustHashes)
	}
	if n := len(r.Trust.Directories); n > maxTrustDirs {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Allow.Directories: received %d, allowed %d", n, maxTrustDirs)
	}
	for i, h := range r.Trust.Hashes {
		h = strings.ToLower(strings.TrimSpace(h))
		if !sha1Form.MatchString(h) && !sha256Form(h) {
			return nil, errs.New(op, errs.Invalid, errs.InvalidHashValue, "Allow.Hashes[%d] %q is neither a SHA-256 nor a SHA-1 in hexadecimal", i, clip(h))
		}
		p.Hashes = append(p.Hashes, h)
	}
	var err error
	if p.Directories, err = paths("Allow.Directories", r.Trust.Directories); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

func sha256Form(h string) bool {
	return len(h) == 64 && strings.Trim(h, "0123456789abcdef") == ""
}

// Message is what the users of a device are told.
type Message struct {
	Title string // "" for a usual one
	Text  string
	Level string // low, normal, critical; "" for normal
}

func (r *Request) checkMessage() (json.RawMessage, error) {
	const op = "action.Request"
	r.Scope = ""
	if r.Message == nil || strings.TrimSpace(r.Message.Text) == "" {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter Message is missing")
	}
	m := *r.Message
	for _, t := range []struct {
		place, text string
		most        int
	}{{"Message", m.Text, maxMessage}, {"Title", m.Title, maxTitle}} {
		switch {
		case !utf8.ValidString(t.text) || utf8.RuneCountInString(t.text) > t.most:
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "%s is longer than %d characters or not UTF-8", t.place, t.most)
		case strings.ContainsFunc(t.text, func(c rune) bool { return unicode.IsControl(c) && (c != '\n' || t.place == "Title") }):
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "%s holds control characters", t.place)
		}
	}
	switch m.Level = strings.ToLower(m.Level); m.Level {
	case "":
		m.Level = "normal"
	case "low", "normal", "critical":
	default:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Level is not Low, Normal or Critical")
	}
	return json.Marshal(struct {
		Title string `json:"title,omitempty"`
		Text  string `json:"text"`
		Level string `json:"level"`
	}{m.Title, m.Text, m.Level})
}
