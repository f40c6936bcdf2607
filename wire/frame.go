package wire

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// magic opens a frame and names its format; the length of the content as a uvarint and
// one zstd frame follow.
const magic = "VDB1"

// dictionary1 is part of format VDB1: texts that are common in telemetry, so that small
// batches compress too. It may never change; another dictionary needs another magic.
//
//go:embed dictionary1.txt
var dictionary1 []byte

const dictionary1ID = 0x56444231

// window bounds the memory of the compressor: batches are mostly smaller.
const window = 1 << 20

var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(window),
		zstd.WithEncoderCRC(true),
		zstd.WithEncoderDictRaw(dictionary1ID, dictionary1))
})

var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(64<<20),
		zstd.WithDecoderDictRaw(dictionary1ID, dictionary1))
})

// Frame compresses the content of a batch into a frame: for tools and tests, which look
// into frames or make bad ones.
func Frame(content []byte) ([]byte, error) { return pack(content) }

// Unframe returns the content of a frame, of at most limit bytes.
func Unframe(frame []byte, limit int) ([]byte, error) { return unpack(frame, limit) }

func pack(content []byte) ([]byte, error) {
	z, err := encoder()
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(content)/3+64), magic...)
	return z.EncodeAll(content, binary.AppendUvarint(out, uint64(len(content)))), nil
}

// unpack decompresses a frame into at most limit bytes. The size that the frame states is
// allocated at once and is all that decompression may fill, so that a frame cannot grow
// beyond what it admits to.
func unpack(frame []byte, limit int) ([]byte, error) {
	if len(frame) < len(magic) || string(frame[:len(magic)]) != magic {
		return nil, bad("frame", "does not begin with %s", magic)
	}
	size, n := binary.Uvarint(frame[len(magic):])
	if n <= 0 {
		return nil, bad("frame", "does not state its size")
	}
	if size > uint64(limit) {
		return nil, bad("frame", "states %d bytes of content, more than %d", size, limit)
	}
	z, err := decoder()
	if err != nil {
		return nil, err
	}
	out, err := z.DecodeAll(frame[len(magic)+n:], make([]byte, 0, size))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, bad("frame", "holds more than it states")
	case err != nil:
		return nil, bad("frame", "does not decompress: %v", err)
	case uint64(len(out)) != size:
		return nil, bad("frame", "holds %d bytes, not the %d it states", len(out), size)
	}
	return out, nil
}
