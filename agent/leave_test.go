package agent

import (
	"testing"

	"github.com/vedette-edr/vedette/agent/policy"
)

func TestOnlyAnotherTokenBringsADeviceBack(t *testing.T) {
	dir := t.TempDir()
	open := func(token string) *leaver {
		t.Helper()
		l, err := openLeaver(Config{StateDir: dir, Token: token, floor: policy.Policy{}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open("first")
	if l.left() || l.leaving("") || l.outcome != policy.Idle {
		t.Error("a device that was never offboarded has left")
	}
	if err := l.leave("command"); err != nil {
		t.Fatal(err)
	}
	// Killed before the server heard of it: another start says it again, even with a new token.
	l = open("second")
	if l.left() || !l.leaving("command") || !l.leaving("") || l.leaving("another") {
		t.Error("a device that is leaving does not know it any more")
	}
	if err := l.leave("command"); err != nil {
		t.Fatal(err)
	}
	l.told("another")
	if l.left() {
		t.Error("left by another command")
	}
	l.told("command")
	l.told("") // as often as the server says it
	select {
	case <-l.gone:
	default:
		t.Error("nobody is told that the device has left")
	}
	for token, want := range map[string]bool{"second": true, "": true} {
		if open(token).left() != want {
			t.Errorf("with the token %q: left is not %v", token, want)
		}
	}
	if open("third").left() || open("").left() {
		t.Error("another token does not bring the device back")
	}
}
