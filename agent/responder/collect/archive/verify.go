package archive

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// maxManifest bounds what is read of a manifest, in bytes.
const maxManifest = 64 << 20

// Verify reads an archive of size bytes whole and compares every entry with the manifest,
// which it returns. An entry that is missing, changed or not in the manifest is an error.
func Verify(r io.ReaderAt, size int64) (*Manifest, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, err
	}
	if len(z.File) == 0 || z.File[len(z.File)-1].Name != ManifestName {
		return nil, fmt.Errorf("the archive does not end with %s", ManifestName)
	}
	files := z.File[:len(z.File)-1]
	m, err := readManifest(z.File[len(z.File)-1])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if len(m.Files) != len(files) {
		return nil, fmt.Errorf("the archive has %d files, its manifest %d", len(files), len(m.Files))
	}
	for i, f := range files {
		want := m.Files[i]
		if f.Name != want.Name {
			return nil, fmt.Errorf("file %d is %q, in the manifest %q", i, f.Name, want.Name)
		}
		in, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		h := sha256.New()
		n, err := io.Copy(h, io.LimitReader(in, want.Size+1))
		in.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if got := hex.EncodeToString(h.Sum(nil)); n != want.Size || got != want.SHA256 {
			return nil, fmt.Errorf("%s: %d bytes with SHA-256 %s, in the manifest %d with %s", f.Name, n, got, want.Size, want.SHA256)
		}
	}
	return m, nil
}

func readManifest(f *zip.File) (*Manifest, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	raw, err := io.ReadAll(io.LimitReader(in, maxManifest)) // to its end, where its checksum is compared
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, err
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("version %d is not known", m.Version)
	}
	return m, nil
}
