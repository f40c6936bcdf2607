package enforce

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/vedette-edr/vedette/agent/enforce/address"
	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/wire/wirepb"
)

// kind is what an indicator's value is. Values are in files: never renumber.
type kind uint8

const (
	kindAddress kind = iota
	kindDomain
	kindURL
	kindSHA1
	kindSHA256
	kindMD5
	kinds
)

// keySize is the length of a kind's key: a hash itself, a name.Key, or family, address and
// prefix length.
var keySize = [kinds]int{18, name.KeySize, name.KeySize, 20, 32, 16}

// action is what is to be done. Values are in files: never renumber.
type action uint8

const (
	actionAllow action = iota + 1
	actionBlock
	actionAudit
	actionWarn
	actionRemediate
)

var kindNames = map[string]kind{
	"IpAddress": kindAddress, "DomainName": kindDomain, "Url": kindURL,
	"FileSha1": kindSHA1, "FileSha256": kindSHA256, "FileMd5": kindMD5,
}

var actionNames = map[string]action{
	"Allowed": actionAllow, "Block": actionBlock, "AlertAndBlock": actionBlock, "Audit": actionAudit,
	"Warn": actionWarn, "BlockAndRemediate": actionRemediate,
}

// verdict is what an action means for an address or a name.
func (a action) verdict() address.Verdict {
	switch a {
	case actionAllow:
		return address.Allow
	case actionBlock, actionRemediate:
		return address.Block
	case actionWarn:
		return address.Warn
	}
	return address.Audit
}

// file is what an action means for a file.
func (a action) file() file.Action {
	switch a {
	case actionAllow:
		return file.Allow
	case actionBlock:
		return file.Block
	case actionRemediate:
		return file.Remediate
	case actionWarn:
		return file.Warn
	}
	return file.Audit
}

// entry is one indicator.
type entry struct {
	id      int64
	kind    kind
	key     string // of keySize[kind] bytes
	action  action
	silent  bool   // no alert is wanted
	expires uint32 // Unix seconds; 0 for never
}

func (e *entry) alive(now int64) bool { return e.expires == 0 || now < int64(e.expires) }

// silentBit is in the byte of the action; files from before it lack it, which is no loss.
const silentBit = 0x80

// Behind the key a record holds action, expiry and id.
const tailSize = 1 + 4 + 8

func recordSize(k kind) int { return keySize[k] + tailSize }

func (e *entry) append(b []byte) []byte {
	b = append(b, e.key...)
	a := byte(e.action)
	if e.silent {
		a |= silentBit
	}
	b = append(b, a)
	b = binary.BigEndian.AppendUint32(b, e.expires)
	return binary.BigEndian.AppendUint64(b, uint64(e.id))
}

// readEntry reads a record; r has the size of k's records.
func readEntry(k kind, r []byte) entry {
	n := keySize[k]
	return entry{kind: k, key: string(r[:n]), action: action(r[n] &^ silentBit), silent: r[n]&silentBit != 0, expires: binary.BigEndian.Uint32(r[n+1:]), id: recordID(k, r)}
}

func recordID(k kind, r []byte) int64 { return int64(binary.BigEndian.Uint64(r[keySize[k]+5:])) }

// maxValue bounds the text of an indicator; the server's own bound is 2048.
const maxValue = 4096

// parse turns what came over the wire into an entry, or two: an allowed path of a host has
// another one, whose id is the negative one, by which the host may be resolved although it
// is blocked.
func parse(seed name.Seed, p *wirepb.Indicator) ([]entry, error) {
	e, err := parseOne(seed, p)
	if err != nil {
		return nil, err
	}
	if e.kind == kindURL && e.action != actionBlock && e.action != actionRemediate {
		if _, open, bare := seed.URL(p.GetValue()); !bare {
			also := e
			also.id, also.key = -e.id, string(open[:])
			return []entry{e, also}, nil
		}
	}
	return []entry{e}, nil
}

func parseOne(seed name.Seed, p *wirepb.Indicator) (entry, error) {
	e := entry{id: p.GetId(), silent: p.GetSilent()}
	if e.id <= 0 {
		return e, fmt.Errorf("its id is %d", e.id)
	}
	var ok bool
	if e.kind, ok = kindNames[p.GetType()]; !ok {
		return e, fmt.Errorf("its type is %.40q", p.GetType())
	}
	if e.action, ok = actionNames[p.GetAction()]; !ok {
		return e, fmt.Errorf("its action is %.40q", p.GetAction())
	}
	if p.GetExpires() != 0 {
		// A moment within a second is kept for that second; the year 2106 is never.
		secs := min(max((p.GetExpires()+1e9-1)/1e9, 1), math.MaxUint32)
		if p.GetExpires() < 0 {
			secs = 1
		}
		if secs < math.MaxUint32 {
			e.expires = uint32(secs)
		}
	}
	var err error
	e.key, err = keyOf(seed, e.kind, p.GetValue())
	return e, err
}

func keyOf(seed name.Seed, k kind, value string) (string, error) {
	if value == "" || len(value) > maxValue {
		return "", fmt.Errorf("its value has %d bytes", len(value))
	}
	switch k {
	case kindAddress:
		p, err := netip.ParsePrefix(value)
		if err != nil {
			a, aerr := netip.ParseAddr(value)
			if aerr != nil {
				return "", aerr
			}
			if a.Zone() != "" {
				return "", errors.New("its value has a zone")
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p, err = address.Normal(p); err != nil {
			return "", err
		}
		return prefixKey(p), nil
	case kindDomain:
		key := seed.Domain(value)
		return string(key[:]), nil
	case kindURL:
		key, _, _ := seed.URL(value)
		return string(key[:]), nil
	}
	b, err := hex.DecodeString(value)
	if err == nil && len(b) != keySize[k] {
		err = errors.New("its value is no hash of that type")
	}
	return string(b), err
}

func prefixKey(p netip.Prefix) string {
	var b [18]byte
	b[0] = 6
	if p.Addr().Is4() {
		b[0] = 4
	}
	copy(b[1:17], p.Addr().AsSlice())
	b[17] = byte(p.Bits())
	return string(b[:])
}

// keyPrefix is the inverse of prefixKey; it reports false for what that never made.
func keyPrefix(k string) (netip.Prefix, bool) {
	a := netip.AddrFrom16([16]byte([]byte(k[1:17])))
	if k[0] == 4 {
		a = netip.AddrFrom4([4]byte([]byte(k[1:5])))
	}
	p, err := a.Prefix(int(k[17]))
	return p, err == nil
}
