package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame is one record on disk, aligned to eight bytes so that the next whole frame
// behind a damaged place can be found in linear time:
//
//	0  u32  length of the record
//	4  u32  distance back to the first frame of the same commit
//	8  u32  CRC32C of the record
//	12 u32  CRC32C of the segment's salt, the frame's offset and the twelve bytes above
//	16      the record, then zeros up to a multiple of eight
//
// The salt is random and kept out of records, so nothing that a record holds can pass
// for a frame, and neither can what an older file left on the same disk blocks. The
// distance tells damage from a torn write: a commit is written only after all before it
// was synced, so bytes before a commit's first frame were acknowledged or are garbage
// that the chain of headers excludes.
const (
	frameHead = 16
	maxFrame  = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSize is the size on disk of a record of n bytes.
func frameSize(n int) int { return frameHead + (n+7)&^7 }

// appendFrame adds a frame that sealFrames will complete.
func appendFrame(b, record []byte) []byte {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(len(record)))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(record, castagnoli))
	b = append(b, head[:]...)
	b = append(b, record...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// sealFrames completes the heads of the frames in b, which together are one commit and
// go to offset at of the segment with this salt.
func sealFrames(b []byte, salt uint64, at int64) {
	for p := 0; p < len(b); {
		n := int(binary.LittleEndian.Uint32(b[p:]))
		binary.LittleEndian.PutUint32(b[p+4:], uint32(p))
		binary.LittleEndian.PutUint32(b[p+12:], headSum(b[p:], salt, at+int64(p)))
		p += frameSize(n)
	}
}

func headSum(head []byte, salt uint64, at int64) uint32 {
	var b [28]byte
	binary.LittleEndian.PutUint64(b[0:], salt)
	binary.LittleEndian.PutUint64(b[8:], uint64(at))
	copy(b[16:], head[:12])
	return crc32.Checksum(b[:], castagnoli)
}

// head is the decoded head of a frame.
type head struct {
	length int
	commit int64 // offset of the first frame of the same commit
	sum    uint32
}

// parseHead decodes the head at offset at; it reports false when that is none.
func parseHead(b []byte, salt uint64, at int64) (head, bool) {
	if len(b) < frameHead || binary.LittleEndian.Uint32(b[12:]) != headSum(b, salt, at) {
		return head{}, false
	}
	h := head{
		length: int(binary.LittleEndian.Uint32(b)),
		commit: at - int64(binary.LittleEndian.Uint32(b[4:])),
		sum:    binary.LittleEndian.Uint32(b[8:]),
	}
	return h, h.length <= maxFrame && h.commit >= headerSize
}

// record returns the record behind a parsed head when it is whole and unaltered.
func (h head) record(b []byte) ([]byte, bool) {
	if len(b) < frameSize(h.length) {
		return nil, false
	}
	r := b[frameHead : frameHead+h.length]
	return r, crc32.Checksum(r, castagnoli) == h.sum
}
