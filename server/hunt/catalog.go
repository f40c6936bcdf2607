package hunt

import (
	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/schema/catalog"
)

// Catalog returns the hunting tables for the binder. They are the same for every tenant:
// what differs is the rows that a query is given.
func Catalog() bind.Catalog { return catalog.Hunting() }
