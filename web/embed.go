// Package web is the portal: a program of the browser that uses the server's public API.
//
// Its sources are TypeScript (README.md beside this file says how they are laid out);
// `make web` builds them into dist, compressed, and this package carries dist into the
// server. A checkout in which nothing was built has an empty dist: the server then says so
// instead of showing the portal, and Go builds and tests need no Node.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files is the built portal: each file under its name with .br and .gz behind it, or as it
// is where compression gains nothing. Without a build it holds no index.html.
func Files() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant that exists
	}
	return sub
}
