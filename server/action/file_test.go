package action_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/errs"
)

func TestFilesAreAskedForByTheirDigest(t *testing.T) {
	f := setup(t)
	sha1, sha256 := strings.Repeat("ab", 20), strings.Repeat("cd", 32)
	params := func(r action.Request) string {
		t.Helper()
		r.Device, r.Comment = host, "because"
		a, err := f.Request(t.Context(), analyst, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Cancel(t.Context(), analyst, a.ID, "enough"); err != nil {
			t.Fatal(err)
		}
		return string(a.Params)
	}
	for want, r := range map[string]action.Request{
		`{"sha1":"` + sha1 + `","paths":["/a","/b"],"size":7}`: {Kind: action.StopAndQuarantineFile, File: strings.ToUpper(sha1), Paths: []string{"/a", "relative", "", "/a", "/b", "/\xff"}, Size: 7},
		`{"sha256":"` + sha256 + `"}`:                          {Kind: action.StopAndQuarantineFile, File: sha256, Size: -1},
		`{"sha1":"` + sha1 + `"}`:                              {Kind: action.RestoreFile, File: sha1, Paths: []string{"/a"}},
	} {
		if diff := cmp.Diff(want, params(r)); diff != "" {
			t.Error(diff)
		}
	}
	for name, file := range map[string]string{"none": "", "short": "abc", "the empty file": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"the empty file's SHA-256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "between": strings.Repeat("a", 50)} {
		_, err := f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.StopAndQuarantineFile, File: file, Comment: "x"})
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAQuarantineIsUndoneForItsFileAlone(t *testing.T) {
	f := setup(t)
	var made []*action.Action
	for _, digest := range []string{strings.Repeat("1", 40), strings.Repeat("2", 40)} {
		a, err := f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.StopAndQuarantineFile, File: digest, Comment: "x"})
		if err != nil {
			t.Fatal(err)
		}
		f.pending(t)
		if err := f.dispatch.Result(t.Context(), f.device, action.Result{ID: a.ID, State: "verified"}); err != nil {
			t.Fatal(err)
		}
		made = append(made, a)
	}
	undo, err := f.Undo(t.Context(), analyst, made[0].ID, "it was ours", "PublicApi")
	if err != nil || undo.Kind != action.RestoreFile || undo.File != made[0].File {
		t.Fatalf("%+v, %v", undo, err)
	}
	f.pending(t)
	if err := f.dispatch.Result(t.Context(), f.device, action.Result{ID: undo.ID, State: "verified"}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []action.State{action.Reverted, action.Verified} {
		if a, err := f.Get(t.Context(), tenant, made[i].ID); err != nil || a.State != want {
			t.Errorf("the %d. is %s, %v", i, a.State, err)
		}
	}
	if action.RestoreFile.Need() != access.MachineQuarantine || action.PauseScan.Need() != access.MachineScan {
		t.Error("the permissions are others")
	}
}

func TestScansHaveOptions(t *testing.T) {
	f := setup(t)
	a, err := f.Request(t.Context(), analyst, action.Request{Device: host, Kind: action.RunAntiVirusScan, Scope: "full", Comment: "x", Scan: &action.Scan{CPULimit: 20, Quarantine: "All"}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(a.Params, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"scanType": "Full", "cpuLimit": 20., "quarantine": "all"}, got); diff != "" {
		t.Error(diff)
	}
	for name, s := range map[string]action.Scan{"too much": {CPULimit: 101}, "less than none": {CPULimit: -1}, "some": {Quarantine: "some"},
		"a rule that the library lacks": {Rules: []string{"x.yar"}}, "a rule without a name": {Rules: []string{""}}, "many": {Rules: make([]string, 33)}} {
		_, err := f.Request(t.Context(), analyst, action.Request{Device: own, Kind: action.RunAntiVirusScan, Comment: "x", Scan: &s})
		var e *errs.E
		if !errors.As(err, &e) || e.Kind != errs.Invalid || e.Detail == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nobody gets a file of the library that the command does not name.
	if _, err := f.dispatch.Grants(t.Context(), f.device, a.ID, "x.yar"); !errs.Is(err, errs.NotFound) {
		t.Errorf("%v", err)
	}
}
