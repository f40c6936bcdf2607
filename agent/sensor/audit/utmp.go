package audit

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"
)

// Record types of utmp(5) that matter here.
const (
	utUser = 7 // USER_PROCESS
	utDead = 8 // DEAD_PROCESS
)

// utmpRecord is one record of wtmp or btmp.
type utmpRecord struct {
	Type int16
	PID  uint32
	Line string
	User string
	Host string
	Addr netip.Addr // invalid when none
	Time time.Time
}

// parseUtmp decodes one record of utmpSize bytes. Two layouts exist: 32-bit times, which
// glibc keeps on amd64 for old programs, and 64-bit times on arm64.
func parseUtmp(b []byte) utmpRecord {
	text := func(from, n int) string {
		s, _, _ := bytes.Cut(b[from:from+n], []byte{0})
		return clean(string(s), n)
	}
	ne := binary.NativeEndian
	r := utmpRecord{
		Type: int16(ne.Uint16(b)), PID: ne.Uint32(b[4:]),
		Line: text(8, 32), User: text(44, 32), Host: text(76, 256),
	}
	// 332: exit status (4), 336: session, then the time, then the address.
	addr := 348
	if utmpSize == 400 {
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
