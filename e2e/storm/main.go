// Command storm starts processes at a fixed rate, or as fast as it can, and says how long
// that took: the load under which sensors are measured. It is the workload of the
// benchmarks and does nothing else.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// padding is n bytes that do not compress much.
func padding(seed int64, n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz012345"[r.Uint32()%32]
	}
	return string(b)
}

func main() {
	rate := flag.Int("rate", 0, "processes a second; 0 for as many as possible")
	span := flag.Duration("for", 10*time.Second, "how long")
	workers := flag.Int("workers", 4, "processes started at the same time")
	dir := flag.String("dir", "", "start the programs of this directory in turn instead of /bin/true")
	pad := flag.Int("pad", 0, "bytes of one more argument, different in each process")
	flag.Parse()
	programs := []string{"/bin/true"}
	if *dir != "" {
		var err error
		if programs, err = filepath.Glob(filepath.Join(*dir, "*")); err != nil || len(programs) == 0 {
			fmt.Fprintln(os.Stderr, "storm: no programs in", *dir)
			os.Exit(1)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
	attr := &syscall.ProcAttr{Files: []uintptr{null.Fd(), null.Fd(), null.Fd()}, Env: []string{}}
	var next, failed, nanos atomic.Int64
	begin := time.Now()
	var wg sync.WaitGroup
	for range *workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := next.Add(1) - 1
				if *rate > 0 {
					due := begin.Add(time.Duration(i) * time.Second / time.Duration(*rate))
					if due.Sub(begin) >= *span {
						next.Add(-1)
						return
					}
					time.Sleep(time.Until(due))
				} else if time.Since(begin) >= *span {
					next.Add(-1)
					return
				}
				start := time.Now()
				args := []string{"storm", fmt.Sprint(i)}
				if *pad > 0 {
					args = append(args, padding(i, *pad))
				}
				pid, err := syscall.ForkExec(programs[int(i)%len(programs)], args, attr)
				if err != nil {
					if failed.Add(1) == 1 {
						fmt.Fprintln(os.Stderr, "storm:", err)
					}
					continue
				}
				var status syscall.WaitStatus
				for {
					if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
						break
					}
				}
				nanos.Add(int64(time.Since(start)))
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(begin)
	n := next.Load()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"execs": n, "failed": failed.Load(), "seconds": elapsed.Seconds(),
		"rate": float64(n) / elapsed.Seconds(), "micros_each": float64(nanos.Load()) / float64(max(n, 1)) / 1e3,
	})
}
