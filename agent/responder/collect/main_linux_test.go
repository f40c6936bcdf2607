package collect

import (
	"os"
	"testing"

	"github.com/vedette-edr/vedette/agent/launch"
)

// TestMain lets this program stand for the agent's, which starts programs of the device
// through itself.
func TestMain(m *testing.M) {
	launch.Begin()
	os.Exit(m.Run())
}
