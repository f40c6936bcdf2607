// Package content carries what the server ships beside its code: detection rules, each
// with its test beside it, and the ATT&CK catalogue they are checked against.
//
// It holds files and no meaning; package detection reads them. Start at FS.
package content

import "embed"

// FS is the shipped files: attack.yaml, detections/NAME.yaml with NAME.test.yaml.
//
//go:embed attack.yaml detections
var FS embed.FS
