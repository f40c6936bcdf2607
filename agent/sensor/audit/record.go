package audit

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/schema/event"
)

// Audit message types this package knows (linux/audit.h and libaudit.h).
const (
	typeUserAuth     = 1100
	typeUserAcct     = 1101
	typeUserStart    = 1105
	typeUserEnd      = 1106
	typeUserErr      = 1109
	typeUserLogin    = 1112
	typeUserLogout   = 1113
	typeConfigChange = 1305
)

const (
	maxName  = 256  // bytes of an account name that are kept
	maxValue = 1024 // bytes of any other value that are kept
	unset    = 1<<32 - 1
)

// record is one decoded audit message of a user program. The kernel vouches for PID, UID,
// LoginUID and Session; the rest is what the program said.
type record struct {
	Type     uint16
	Time     time.Time
	Serial   uint64
	PID      uint32
	UID      uint32
	LoginUID uint32 // unset when the process has none
	Session  uint32 // unset when the process has none

	Op       string
	Acct     string // account name as the program gave it
	ID       uint32 // numeric id given instead of a name; unset when a name was given
	Exe      string
	Hostname string
	Addr     string
	Terminal string
	Port     uint16
	Success  bool
	Failed   bool

	// proc is the process as it was when the message came; a held session's may be gone
	// by the time it is told.
	proc *event.Process
}

var errMalformed = errors.New("malformed audit record")

// parseRecord decodes the text of one audit message. It never trusts a length and keeps
// the first of two values with one key, save the result, which libaudit writes last: a
// host name or terminal with blanks in it can then not replace what came before it.
func parseRecord(typ uint16, text string) (record, error) {
	r := record{Type: typ, ID: unset, LoginUID: unset, Session: unset}
	rest, ok := strings.CutPrefix(text, "audit(")
	if !ok {
		return r, errMalformed
	}
	stamp, rest, ok := strings.Cut(rest, "): ")
	if !ok {
		return r, errMalformed
	}
	var err error
	if r.Time, r.Serial, err = parseStamp(stamp); err != nil {
		return r, err
	}
	kernel, msg, _ := strings.Cut(rest, " msg='")
	msg = strings.TrimSuffix(strings.TrimRight(msg, "\x00\n "), "'")
	pairs(kernel, func(key, val string) {
		n, err := strconv.ParseUint(val, 10, 32)
		if err != nil {
			return
		}
		switch key {
		case "pid":
			r.PID = uint32(n)
		case "uid":
			r.UID = uint32(n)
		case "auid":
			r.LoginUID = uint32(n)
		case "ses":
			r.Session = uint32(n)
		}
	})
	seen := map[string]bool{}
	pairs(msg, func(key, val string) {
		if key == "res" {
			r.Success = val == "success" || val == "1"
			r.Failed = val == "failed" || val == "0"
			return
		}
		if seen[key] {
			return
		}
		seen[key] = true
		r.set(key, val)
	})
	return r, nil
}

func (r *record) set(key, val string) {
	switch key {
	case "op":
		r.Op = clean(unquote(val), maxValue)
	case "acct":
		r.Acct = clean(decode(val), maxName)
	case "id":
		if n, err := strconv.ParseUint(val, 10, 32); err == nil {
			r.ID = uint32(n)
		}
	case "exe":
		r.Exe = clean(decode(val), maxValue)
	case "hostname":
		r.Hostname = clean(unquote(val), maxValue)
	case "addr":
		r.Addr = clean(unquote(val), maxValue)
	case "terminal":
		r.Terminal = clean(unquote(val), maxValue)
	case "rport":
		if n, err := strconv.ParseUint(unquote(val), 10, 16); err == nil {
			r.Port = uint16(n)
		}
	}
}

// parseStamp parses seconds.milliseconds:serial.
func parseStamp(s string) (time.Time, uint64, error) {
	at, serial, ok := strings.Cut(s, ":")
	sec, ms, ok2 := strings.Cut(at, ".")
	if !ok || !ok2 {
		return time.Time{}, 0, errMalformed
	}
	a, err1 := strconv.ParseInt(sec, 10, 40)
	b, err2 := strconv.ParseInt(ms, 10, 32)
	c, err3 := strconv.ParseUint(serial, 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return time.Time{}, 0, errMalformed
	}
	return time.Unix(a, b*int64(time.Millisecond)).UTC(), c, nil
}

// pairs calls f with each key=value of s. A value runs to the next blank, or to the
// closing quote when it starts with one.
func pairs(s string, f func(key, val string)) {
	for s != "" {
		s = strings.TrimLeft(s, " ")
		eq := strings.IndexAny(s, "= ")
		if eq < 0 {
			return
		}
		if s[eq] == ' ' { // a word without a value
			s = s[eq:]
			continue
		}
		key := s[:eq]
		s = s[eq+1:]
		end := strings.IndexByte(s, ' ')
		if strings.HasPrefix(s, `"`) {
			if q := strings.IndexByte(s[1:], '"'); q >= 0 {
				end = q + 2
			}
		}
		if end < 0 || end > len(s) {
			end = len(s)
		}
		f(key, s[:end])
		s = s[end:]
	}
}

// decode returns the text of an untrusted string as libaudit encodes it: quoted when
// harmless, else upper-case hexadecimal. "?" and (null) mean there is none.
func decode(v string) string {
	if strings.HasPrefix(v, `"`) {
		return unquote(v)
	}
	if v == "?" || v == "(null)" {
		return ""
	}
	if len(v) >= 2 && len(v)%2 == 0 && strings.Trim(v, "0123456789ABCDEF") == "" {
		if b, err := hex.DecodeString(v); err == nil {
			return string(b)
		}
	}
	return v
}

func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	if v == "?" || v == "(null)" || v == "(none)" {
		return ""
	}
	return v
}

// clean makes v valid UTF-8 without NUL, at most limit bytes long.
func clean(v string, limit int) string {
	if len(v) > limit {
		v = v[:limit]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "\uFFFD")
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
