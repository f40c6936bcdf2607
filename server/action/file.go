package action

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
)

// Bounds of what is said of files and scans.
const (
	maxFilePaths = 256
	maxScanRules = 32
)

// Digests of nothing: every empty file of a device would be meant.
const (
	emptySHA1   = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

var (
	sha1Form   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	digestForm = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
)

// fileParams is what the device gets: the file by its digest, and where it was seen.
type fileParams struct {
	SHA1   string   `json:"sha1,omitempty"`
	SHA256 string   `json:"sha256,omitempty"`
	Paths  []string `json:"paths,omitempty"`
	Size   int64    `json:"size,omitempty"`
}

func (r *Request) checkFile() (json.RawMessage, error) {
	const op = "action.Request"
	r.File, r.Scope = strings.ToLower(strings.TrimSpace(r.File)), ""
	if r.File == "" {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter Sha1 is missing")
	}
	if !digestForm.MatchString(r.File) {
		return nil, errs.New(op, errs.Invalid, errs.InvalidHashValue, "Sha1 %q is not a SHA-1 in hexadecimal", r.File)
	}
	if r.Kind != RestoreFile && (r.File == emptySHA1 || r.File == emptySHA256) {
		return nil, errs.New(op, errs.Invalid, errs.InvalidHashValue, "%s is the digest of an empty file: every empty file of the device would be meant", r.File)
	}
	p := fileParams{SHA1: r.File}
	if len(r.File) == 64 {
		p.SHA1, p.SHA256 = "", r.File
	}
	if r.Kind == StopAndQuarantineFile {
		p.Size = max(0, r.Size)
		for _, at := range r.Paths {
			if len(p.Paths) < maxFilePaths && strings.HasPrefix(at, "/") && len(at) <= maxPath && utf8.ValidString(at) && !slices.Contains(p.Paths, at) {
				p.Paths = append(p.Paths, at)
			}
		}
	}
	return json.Marshal(p)
}

// Scan is how a RunAntiVirusScan is done. The zero value is as published: half of one
// processor, and quarantine for the test file and what an indicator blocks.
type Scan struct {
	CPULimit   int      // percent of one processor, 1 to 100; 0 for 50
	Quarantine string   // "" as said, all, or none
	Rules      []string // files of YARA rules in the library
}

// scanParams is what the device gets.
type scanParams struct {
	ScanType   string   `json:"scanType"`
	CPULimit   int      `json:"cpuLimit,omitempty"`
	Quarantine string   `json:"quarantine,omitempty"`
	Rules      []string `json:"rules,omitempty"`
}

func (r *Request) checkScan() (json.RawMessage, error) {
	const op = "action.Request"
	switch {
	case r.Scope == "" || strings.EqualFold(r.Scope, "Quick"):
		r.Scope = "Quick"
	case strings.EqualFold(r.Scope, "Full"):
		r.Scope = "Full"
	default:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "ScanType is neither Quick nor Full")
	}
	p := scanParams{ScanType: r.Scope}
	if r.Scan != nil {
		p.CPULimit, p.Quarantine, p.Rules = r.Scan.CPULimit, strings.ToLower(r.Scan.Quarantine), r.Scan.Rules
	}
	switch {
	case p.CPULimit < 0 || p.CPULimit > 100:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "CpuLimit is not between 1 and 100 percent of one processor")
	case p.Quarantine != "" && p.Quarantine != "all" && p.Quarantine != "none":
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Quarantine is neither all nor none")
	case len(p.Rules) > maxScanRules:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Rules: received %d, allowed %d", len(p.Rules), maxScanRules)
	}
	for i, name := range p.Rules {
		if name == "" || len(name) > maxArtifactName || !utf8.ValidString(name) {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Rules[%d] is no name of a file", i)
		}
	}
	return json.Marshal(p)
}

// rules returns the files of the library that a scan names.
func (a *Action) rules() []string {
	if a.Kind != RunAntiVirusScan || len(a.Params) == 0 {
		return nil
	}
	var p scanParams
	if json.Unmarshal(a.Params, &p) != nil {
		return nil // they were ours when they were kept
	}
	return p.Rules
}
