package enforce

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/agent/enforce/name"
	"github.com/vedette-edr/vedette/durable"
)

// maxFile bounds what is mapped or read of a file.
const maxFile = 64 << 20

// disk keeps a state: a base of some generation, and the log of the deltas since. A new
// generation begins with a base that is whole on the disk under its name; the older files
// go after that, so that at every instant the newest whole base with its log is the state.
type disk struct {
	dir  string
	gen  uint64
	seed name.Seed
	log  *os.File
	size int64 // of the log, up to its last whole frame
}

const seedFile = "seed"

// openSeed reads the seed of the keys, or makes one; what was kept under another one says
// nothing, and is removed, so that it is asked for again.
func (d *disk) openSeed() error {
	path := filepath.Join(d.dir, seedFile)
	raw, err := os.ReadFile(path)
	if err == nil && len(raw) == len(d.seed) {
		d.seed = name.Seed(raw)
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), basePrefix) || strings.HasPrefix(n.Name(), logPrefix) {
			if err := os.Remove(filepath.Join(d.dir, n.Name())); err != nil {
				return err
			}
		}
	}
	rand.Read(d.seed[:])
	return durable.Write(path, d.seed[:], 0o600)
}

const (
	basePrefix = "base-"
	logPrefix  = "log-"
)

func (d *disk) path(prefix string, gen uint64) string {
	return filepath.Join(d.dir, fmt.Sprintf("%s%016x", prefix, gen))
}

// openDisk returns what the directory keeps. damage says why some of it could not be used;
// the state is then the best that is left.
func openDisk(dir string) (d *disk, st state, damage, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, st, nil, err
	}
	d = &disk{dir: dir}
	if err := d.openSeed(); err != nil {
		return nil, st, nil, err
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, st, nil, err
	}
	var gens []uint64
	for _, n := range names {
		if hex, ok := strings.CutPrefix(n.Name(), basePrefix); ok {
			if g, err := strconv.ParseUint(hex, 16, 64); err == nil {
				gens = append(gens, g)
			}
		}
	}
	slices.Sort(gens)
	st = state{base: emptyBase(), overlay: newOverlay()}
	for _, g := range slices.Backward(gens) {
		b, err := loadBase(d.path(basePrefix, g))
		if err == nil {
			st.base, d.gen = b, g
			break
		}
		damage = errors.Join(damage, fmt.Errorf("%s%016x: %w", basePrefix, g, err))
	}
	if damage != nil && d.gen == 0 && len(gens) > 0 {
		// A log means nothing without its base; the generation must not come again.
		d.gen = gens[len(gens)-1] + 1
	}
	d.log, err = os.OpenFile(d.path(logPrefix, d.gen), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, st, damage, errors.Join(err, st.base.close())
	}
	frames, err := io.ReadAll(io.LimitReader(d.log, maxFile))
	if err != nil {
		return nil, st, damage, errors.Join(err, d.log.Close(), st.base.close())
	}
	for {
		dl, n := readFrame(frames[d.size:])
		if n == 0 || dl.base < st.base.revision {
			break
		}
		st.overlay.apply(st.base, dl)
		st.base.revision = dl.revision
		d.size += int64(n)
	}
	if err := d.cut(); err != nil {
		return nil, st, damage, errors.Join(err, d.log.Close(), st.base.close())
	}
	d.sweep()
	return d, st, damage, nil
}

func emptyBase() *base {
	b := &base{}
	for k := range kinds {
		b.sections[k].kind = k
	}
	return b
}

func loadBase(path string) (*base, error) {
	data, release, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	b, err := read(data)
	if err != nil {
		if release != nil {
			err = errors.Join(err, release())
		}
		return nil, err
	}
	b.release = release
	return b, nil
}

// cut ends the log after its last whole frame.
func (d *disk) cut() error {
	if err := d.log.Truncate(d.size); err != nil {
		return err
	}
	_, err := d.log.Seek(d.size, io.SeekStart)
	return err
}

// sweep removes the files of other generations. What it cannot remove it finds again at
// the next start.
func (d *disk) sweep() {
	names, err := os.ReadDir(d.dir)
	if err != nil {
		return
	}
	keep := []string{filepath.Base(d.path(basePrefix, d.gen)), filepath.Base(d.path(logPrefix, d.gen))}
	for _, n := range names {
		ours := strings.HasPrefix(n.Name(), basePrefix) || strings.HasPrefix(n.Name(), logPrefix) || strings.HasPrefix(n.Name(), tmpPrefix)
		if ours && !slices.Contains(keep, n.Name()) {
			_ = os.Remove(filepath.Join(d.dir, n.Name()))
		}
	}
}

const tmpPrefix = ".tmp-"

// save begins a new generation with an image and returns its base.
func (d *disk) save(img []byte) (*base, error) {
	gen := d.gen + 1
	tmp, err := os.CreateTemp(d.dir, tmpPrefix)
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(img)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err != nil {
		return nil, err
	}
	if err := os.Remove(d.path(logPrefix, gen)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(d.path(logPrefix, gen), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = os.Rename(tmp.Name(), d.path(basePrefix, gen)); err == nil {
		err = durable.SyncDir(d.dir)
	}
	var b *base
	if err == nil {
		b, err = loadBase(d.path(basePrefix, gen))
	}
	if err != nil {
		return nil, errors.Join(err, log.Close(), ifThere(os.Remove(d.path(basePrefix, gen))))
	}
	d.log.Close()
	d.log, d.gen, d.size = log, gen, 0
	d.sweep()
	return b, nil
}

func ifThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// append brings a delta to the disk.
func (d *disk) append(dl *delta) error {
	b := frame(dl)
	if d.size+int64(len(b)) > maxFile {
		return errors.New("the log is full")
	}
	_, err := d.log.Write(b)
	if err == nil {
		err = d.log.Sync()
	}
	if err != nil {
		return errors.Join(err, d.cut())
	}
	d.size += int64(len(b))
	return nil
}

func (d *disk) close() error { return d.log.Close() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a delta in the log: length and CRC-32C of what follows; the revisions before
// and after; the entries, each its kind and record; the ids that are removed.
func frame(dl *delta) []byte {
	b := make([]byte, 8, 64+64*len(dl.put)+8*len(dl.remove))
	b = binary.BigEndian.AppendUint64(b, dl.base)
	b = binary.BigEndian.AppendUint64(b, dl.revision)
	b = binary.BigEndian.AppendUint32(b, uint32(len(dl.put)))
	for i := range dl.put {
		b = append(b, byte(dl.put[i].kind))
		b = dl.put[i].append(b)
	}
	for _, id := range dl.remove {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-8))
	binary.BigEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// readFrame reads the frame at the beginning of b; n is its length, 0 when there is no
// whole one.
func readFrame(b []byte) (dl *delta, n int) {
	if len(b) < 8 {
		return nil, 0
	}
	size := binary.BigEndian.Uint32(b)
	if uint64(size) > uint64(len(b)-8) || size < 20 {
		return nil, 0
	}
	body := b[8 : 8+size]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0
	}
	dl = &delta{base: binary.BigEndian.Uint64(body), revision: binary.BigEndian.Uint64(body[8:])}
	puts, r := binary.BigEndian.Uint32(body[16:]), bytes.NewBuffer(body[20:])
	for range puts {
		k := r.Next(1)
		if len(k) == 0 || kind(k[0]) >= kinds || r.Len() < recordSize(kind(k[0])) {
			return nil, 0
		}
		dl.put = append(dl.put, readEntry(kind(k[0]), r.Next(recordSize(kind(k[0])))))
	}
	for r.Len() >= 8 {
		dl.remove = append(dl.remove, int64(binary.BigEndian.Uint64(r.Next(8))))
	}
	return dl, 8 + int(size)
}
