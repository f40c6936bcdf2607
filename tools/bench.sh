#!/usr/bin/env bash
# Measures the figures of docs/benchmarks.md. Takes about ten minutes, as root, with the
# machine otherwise idle. Usage: bench.sh [PATTERN of a part]
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
part=${1:-.}
run() {
	[[ $1 =~ $part ]] || return 0
	echo
	echo "== $1"
	shift
	"$@"
}
run alert-latency "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkAlertLatency$' -benchtime 1x ./e2e
run action-drop "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkActionToDrop$' -benchtime 1x ./e2e
run action-fleet "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkIsolateFleet$' -benchtime 1x ./e2e
run block-latency "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkBlockLatency$' -benchtime 1x ./e2e
run exec-storm "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkExecStorm$' -benchtime 1x ./e2e
run portal "$go" test -count=1 -timeout 30m -v -run '^$' -bench '^BenchmarkPortal$' -benchtime 1x ./e2e
run api-lists "$go" test -count=1 -timeout 60m -v -run '^$' -bench '^BenchmarkLists$' -benchtime 1x ./server/api/mde
run tvm "$go" test -count=1 -timeout 60m -v -run '^$' -bench '^BenchmarkFleet$' -benchtime 1x ./server/api/tvm
run sightings "$go" test -count=1 -timeout 20m -v -run '^$' -bench '^BenchmarkSightings$' -benchtime 1x ./e2e
run wire-bytes "$go" test -count=1 -run '^$' -bench '^BenchmarkWireBytes$' ./wire
run wire-decode "$go" test -count=1 -run '^$' -bench '^BenchmarkDecode$' ./wire
run ingest-store "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkIngest$' ./server/telemetry/duckdb
run indicator-million "$go" test -count=1 -timeout 30m -v -run '^$' -bench '^BenchmarkMillionIndicators$' -benchtime 1x ./e2e
run indicator-match "$go" test -count=1 -timeout 20m -v -run 'TestMemoryOfAMillion' -bench 'Benchmark(Match|Insert|Raise)' ./server/detect/ioc
run kql-compile "$go" test -count=1 -run '^$' -bench 'Benchmark(Compile|Parse)$' ./server/telemetry/duckdb
run kql-hunts "$go" test -count=1 -timeout 40m -v -run '^$' -bench '^BenchmarkHunts$' -benchtime 1x ./server/telemetry/duckdb
run rules "$go" test -count=1 -run '^$' -bench 'Benchmark(Match|Raise)' ./server/detect/behavior
run enforce-apply "$go" test -count=1 -timeout 20m -run '^$' -bench '^BenchmarkApply$' -benchtime 20x ./agent/enforce
run enforce-connect "$go" test -count=1 -run '^$' -bench '^BenchmarkConnect$' ./agent/enforce/address
run enforce-exec "$go" test -count=1 -run '^$' -bench '^BenchmarkExec$' -benchtime 1000x ./agent/enforce/file
run restrict-exec "$go" test -count=1 -run '^$' -bench '^BenchmarkExec$' -benchtime 2000x ./agent/responder/restrict
run kill-9 env VEDETTE_KILLS=20 "$go" test -count=1 -timeout 30m -v -run 'Kill' ./server/telemetry/duckdb ./e2e
