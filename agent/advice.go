package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/link"
)

// advise adds to what kept an agent from starting what its owner can do about it.
func advise(err error, c Config) error {
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, link.ErrNoCA):
		return fmt.Errorf("%w: the first start needs --ca with the server's own certificate (ca/ca.crt in its data directory)", err)
	case errors.Is(err, link.ErrNoToken):
		return fmt.Errorf("%w: this device is not enrolled yet; give --enroll-token-file with the enrollment_token of the server's bootstrap.json", err)
	case errors.As(err, &cert):
		return fmt.Errorf("%w: what answers at %s is not the server that %s belongs to; take ca/ca.crt from its data directory", err, c.Server, c.CAFile)
	case connect.CodeOf(err) == connect.CodeUnauthenticated:
		return fmt.Errorf("%w: take the enrollment_token of the server's bootstrap.json, or ask for a new one", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run the agent as root, or give it a --state-dir of its own", err)
	}
	return err
}
