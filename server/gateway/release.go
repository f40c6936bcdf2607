package gateway

import (
	"crypto/ed25519"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/wire"
)

// Releases signs release codes with the command key, which devices have pinned.
type Releases struct {
	Key ed25519.PrivateKey
}

var _ action.ReleaseSigner = Releases{}

// ReleaseCode implements action.ReleaseSigner.
func (r Releases) ReleaseCode(device ident.DeviceID, incarnation uint64, expires time.Time) (string, error) {
	return wire.ReleaseCode(string(device), incarnation, expires, r.Key)
}
