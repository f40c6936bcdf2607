//go:build !unix

package enforce

import "os"

// mapFile reads the file where it cannot be mapped: its user is the same, at the price of
// memory.
func mapFile(path string) (data []byte, release func() error, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if st.Size() > maxFile {
		return nil, nil, errImage
	}
	data, err = os.ReadFile(path)
	return data, nil, err
}
