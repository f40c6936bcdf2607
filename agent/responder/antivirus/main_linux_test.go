package antivirus

import (
	"os"
	"testing"

	"github.com/vedette-edr/vedette/agent/launch"
)

// TestMain lets this program stand for the agent's, which starts programs of the device
// through itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == launch.Name {
		os.Exit(launch.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}
