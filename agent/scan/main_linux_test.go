package scan

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/agent/launch"
)

// TestMain lets this program stand for the agent's: as what becomes yara, and as
// a process that has the test file in its memory.
func TestMain(m *testing.M) {
	launch.Begin()
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
