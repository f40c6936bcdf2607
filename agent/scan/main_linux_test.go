package scan

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain lets this program stand for the agent's: as the helper that becomes yara, and as
// a process that has the test file in its memory.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "scan-helper" {
		fmt.Fprintln(os.Stderr, Helper(os.Args[3], os.Args[3:][1:], os.Environ()))
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == "hold-eicar" {
		held := bytes.Repeat([]byte{7}, 3<<20)
		copy(held[2<<20-30:], eicar) // across a megabyte
		fmt.Println("ready")
		time.Sleep(time.Hour)
		fmt.Println(held[0])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testHelper(program string, args ...string) *exec.Cmd {
	return exec.Command("/proc/self/exe", append([]string{"scan-helper", "--", program}, args...)...)
}
