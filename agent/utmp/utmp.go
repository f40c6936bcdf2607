// Package utmp decodes the records of utmp, wtmp, btmp and lastlog (utmp(5)), in the layout
// that the C library has on this processor.
//
// It opens no files. Texts of a record are chosen by who logs on, also by who only tries
// to: they are bounded by the record and otherwise as they stand there. Start at Parse.
package utmp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
)

// Types of records.
const (
	RunLevel = 1
	Boot     = 2
	Init     = 5
	Login    = 6
	User     = 7 // USER_PROCESS: a session, or in btmp a refused one
	Dead     = 8 // DEAD_PROCESS: its end
)

// Record is one record of utmp, wtmp or btmp.
type Record struct {
	Type int16
	PID  uint32
	Line string // terminal
	User string
	Host string     // as the logging program found it
	Addr netip.Addr // of the peer; invalid when none
	Time time.Time  // UTC
}

// Parse decodes one record of Size bytes. Two layouts exist: 32-bit times, which
// glibc keeps on amd64 for old programs, and 64-bit times on arm64.
func Parse(b []byte) Record {
	text := func(from, n int) string { return terminated(b[from : from+n]) }
	ne := binary.NativeEndian
	r := Record{
		Type: int16(ne.Uint16(b)), PID: ne.Uint32(b[4:]),
		Line: text(8, 32), User: text(44, 32), Host: text(76, 256),
	}
	// 332: exit status (4), 336: session, then the time, then the address.
	addr := 348
	if Size == 400 {
		addr = 360
		r.Time = time.Unix(int64(ne.Uint64(b[344:])), int64(ne.Uint64(b[352:]))*1000)
	} else {
		r.Time = time.Unix(int64(int32(ne.Uint32(b[340:]))), int64(int32(ne.Uint32(b[344:])))*1000)
	}
	r.Time = r.Time.UTC()
	raw := [16]byte(b[addr : addr+16])
	switch {
	case raw == [16]byte{}:
	case [12]byte(raw[4:]) == [12]byte{}:
		r.Addr = netip.AddrFrom4([4]byte(raw[:4]))
	default:
		r.Addr = netip.AddrFrom16(raw).Unmap()
	}
	return r
}

// Last is a record of lastlog: the last logon of the user whose id is the record's index.
type Last struct {
	Line string
	Host string
	Time time.Time // UTC; zero for a user who never logged on
}

// ParseLast decodes one record of LastSize bytes.
func ParseLast(b []byte) Last {
	ne := binary.NativeEndian
	at, rest := int64(int32(ne.Uint32(b))), b[4:]
	if LastSize == 296 {
		at, rest = int64(ne.Uint64(b)), b[8:]
	}
	l := Last{Line: terminated(rest[:32]), Host: terminated(rest[32:288])}
	if at != 0 {
		l.Time = time.Unix(at, 0).UTC()
	}
	return l
}

func terminated(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return strings.ToValidUTF8(string(s), "\uFFFD")
}
