package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// yamlFile makes a configuration file answer for flags by their names.
func yamlFile(r io.Reader) (kong.Resolver, error) {
	var values map[string]any
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return &fileValues{values: values}, nil
}

// fileValues resolves flags from a parsed configuration file.
type fileValues struct{ values map[string]any }

// Validate refuses names that are no flag, so that a slip of the pen is not ignored.
func (f *fileValues) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, fl := range n.Flags {
			known[fl.Name] = true
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	walk(app.Node)
	for name := range f.values {
		if !known[name] {
			return fmt.Errorf("configuration file: there is no setting %q", name)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (f *fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	return f.values[flag.Name], nil
}
