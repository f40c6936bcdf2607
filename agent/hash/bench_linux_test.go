package hash

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFirstSight reads and digests programs of the size of /bin/true that were not seen
// before, as they come in a storm: found neither under their process nor their parent.
func BenchmarkFirstSight(b *testing.B) {
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	var ids []ID
	var names []string
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(name, append(program, fmt.Sprint(i)...), 0o755); err != nil {
			b.Fatal(err)
		}
		id, err := Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		ids, names = append(ids, id), append(names, name)
	}
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		p := NewPool(Config{Now: func() time.Time { return time.Now().Add(time.Hour) }})
		done := make(chan error, len(ids))
		for i, id := range ids {
			if err := p.Submit(id, []string{"/proc/4194304/exe", names[i]}, func(_ Sums, err error) { done <- err }); err != nil {
				b.Fatal(err)
			}
		}
		for range ids {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		p.Close()
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N*len(ids))/1e3, "cpu-µs/file")
	b.ReportMetric(float64(after.Stime.Nano()-before.Stime.Nano())/float64(b.N*len(ids))/1e3, "sys-µs/file")
}
