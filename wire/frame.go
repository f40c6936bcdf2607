package wire

import (
	_ "embed"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// magic opens a frame and names its format; a zstd frame follows.
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
		zstd.WithEncoderLevel(zstd.SpeedBetterCompression),
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

func pack(content []byte) ([]byte, error) {
	z, err := encoder()
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(content, append(make([]byte, 0, len(content)/3+64), magic...)), nil
}

// unpack decompresses a frame into at most limit bytes. The size that the frame states is
// allocated at once and is all that decompression may fill, so that a frame cannot grow
// beyond what it admits to.
func unpack(frame []byte, limit int) ([]byte, error) {
	if len(frame) < len(magic) || string(frame[:len(magic)]) != magic {
		return nil, bad("frame", "does not begin with %s", magic)
	}
	frame = frame[len(magic):]
	var h zstd.Header
	if err := h.Decode(frame); err != nil || h.Skippable || !h.HasFCS {
		return nil, bad("frame", "has no zstd header that states a size")
	}
	if h.FrameContentSize > uint64(limit) {
		return nil, bad("frame", "states %d bytes of content, more than %d", h.FrameContentSize, limit)
	}
	z, err := decoder()
	if err != nil {
		return nil, err
	}
	out, err := z.DecodeAll(frame, make([]byte, 0, h.FrameContentSize))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, bad("frame", "holds more than it states")
	case err != nil:
		return nil, bad("frame", "does not decompress: %v", err)
	}
	return out, nil
}
