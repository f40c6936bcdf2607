#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each. Usage: fuzz.sh 30s
set -euo pipefail
time=${1:-30s}
go=${GO:-go}
found=0
while IFS=: read -r file _ line; do
	name=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/' <<<"$line")
	found=$((found + 1))
	echo "fuzz $name in ./$(dirname "$file") for $time"
	"$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 1x "./$(dirname "$file")"
done < <(git ls-files '*_test.go' | xargs grep -n '^func Fuzz')
[ "$found" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
