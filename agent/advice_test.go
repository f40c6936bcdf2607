package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/vedette-edr/vedette/agent/link"
)

func TestAdviceNamesWhatToDo(t *testing.T) {
	c := Config{Server: "https://s.test", CAFile: "/etc/ca.crt"}
	for want, err := range map[string]error{
		"--ca":                link.ErrNoCA,
		"--enroll-token-file": link.ErrNoToken,
		"/etc/ca.crt":         fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: errors.New("unknown")}),
		"enrollment_token":    connect.NewError(connect.CodeUnauthenticated, errors.New("no")),
		"as root":             &fs.PathError{Op: "mkdir", Path: "/x", Err: fs.ErrPermission},
	} {
		got := advise(err, c)
		if !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("of %v: %v", err, got)
		}
	}
	if err := errors.New("else"); advise(err, c) != err {
		t.Error("advice where there is none")
	}
}
