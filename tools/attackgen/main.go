// Command attackgen makes content/attack.yaml, the catalogue of ATT&CK techniques that
// rules are checked against, from the STIX objects that MITRE publishes.
//
//	attackgen -version 18.1 DIR > content/attack.yaml
//
// DIR holds JSON files of STIX bundles, in any folders: the release's one bundle, or its
// objects one by one. Only ids, names, tactics and replacements are taken.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// notice is MITRE's condition for copies, and says where the file comes from.
const notice = `# ATT&CK techniques: id, name, tactics, and what replaced those that were revoked.
# Made by tools/attackgen from the enterprise-attack collection; do not edit.
#
# ATT&CK is a registered trademark of The MITRE Corporation.
# © 2025 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation.
# Licence: https://attack.mitre.org/resources/legal-and-branding/terms-of-use/ (its text is in NOTICE)

`

type object struct {
	Type       string `json:"type"`
	ID         string `json:"id"`
	Name       string `json:"name"`
	Revoked    bool   `json:"revoked"`
	Deprecated bool   `json:"x_mitre_deprecated"`
	Kind       string `json:"relationship_type"`
	Source     string `json:"source_ref"`
	Target     string `json:"target_ref"`
	References []struct {
		Source string `json:"source_name"`
		ID     string `json:"external_id"`
	} `json:"external_references"`
	Phases []struct {
		Chain string `json:"kill_chain_name"`
		Name  string `json:"phase_name"`
	} `json:"kill_chain_phases"`
}

// id is the technique's own id, "" for an object without one.
func (o *object) id() string {
	for _, r := range o.References {
		if r.Source == "mitre-attack" {
			return r.ID
		}
	}
	return ""
}

type technique struct {
	ID         string
	Name       string
	Tactics    []string
	ReplacedBy string
	Deprecated bool
}

func main() {
	version := flag.String("version", "", "release of ATT&CK")
	flag.Parse()
	if *version == "" || flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	objects, err := read(flag.Arg(0))
	if err == nil {
		err = write(os.Stdout, *version, techniques(objects))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func read(dir string) ([]object, error) {
	var out []object
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var b struct{ Objects []object }
		if err := json.Unmarshal(raw, &b); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, b.Objects...)
		return nil
	})
	return out, err
}

func techniques(objects []object) []technique {
	ids, replaced := map[string]string{}, map[string]string{}
	for i := range objects {
		if o := &objects[i]; o.Type == "attack-pattern" {
			ids[o.ID] = o.id()
		}
	}
	for _, o := range objects {
		if o.Type == "relationship" && o.Kind == "revoked-by" {
			replaced[o.Source] = ids[o.Target]
		}
	}
	var out []technique
	for i := range objects {
		o := &objects[i]
		if o.Type != "attack-pattern" || !strings.HasPrefix(o.id(), "T") {
			continue
		}
		t := technique{ID: o.id(), Name: o.Name, Tactics: []string{}, Deprecated: o.Deprecated}
		if o.Revoked {
			t.ReplacedBy = replaced[o.ID]
			// Revoked and replaced by nothing that is known is gone all the same.
			t.Deprecated = t.Deprecated || t.ReplacedBy == ""
		}
		for _, p := range o.Phases {
			if p.Chain == "mitre-attack" {
				t.Tactics = append(t.Tactics, p.Name)
			}
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b technique) int {
		// A revoked technique's id may live on; the living one decides.
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(len(a.ReplacedBy), len(b.ReplacedBy)))
	})
	return slices.CompactFunc(out, func(a, b technique) bool { return a.ID == b.ID })
}

func write(w io.Writer, version string, list []technique) error {
	if _, err := io.WriteString(w, notice+"version: \""+version+"\"\ntechniques:\n"); err != nil {
		return err
	}
	for _, t := range list {
		raw, err := json.Marshal(t.Name)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("  - {id: %s, name: %s, tactics: [%s]", t.ID, raw, strings.Join(t.Tactics, ", "))
		if t.ReplacedBy != "" {
			line += ", replacedBy: " + t.ReplacedBy
		}
		if t.Deprecated {
			line += ", deprecated: true"
		}
		if _, err := io.WriteString(w, line+"}\n"); err != nil {
			return err
		}
	}
	return nil
}
