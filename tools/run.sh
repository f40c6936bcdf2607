#!/usr/bin/env bash
# Starts a server on a data directory and enrols an agent on this host.
# Usage: run.sh DATA_DIR PORT. Ctrl-C ends both.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$1 port=$2
mkdir -p "$data"
chmod 700 "$data"
if curl -ks -m 2 -o /dev/null "https://localhost:$port/healthz"; then
	echo "Something answers at https://localhost:$port/ already. Is another make run at work?" >&2
	echo "End it, or choose another port and directory: make run PORT=9443 DATA=run2" >&2
	exit 1
fi

server='' agent=''
stop() {
	trap - INT TERM EXIT
	for p in $agent $server; do kill "$p" 2>/dev/null || true; done
	for p in $agent $server; do wait "$p" 2>/dev/null || true; done
}
trap stop INT TERM EXIT

bin/vedetted serve --data-dir "$data" --listen ":$port" >>"$data/server.log" 2>&1 &
server=$!
ready=''
for _ in $(seq 300); do
	if ! kill -0 $server 2>/dev/null; then
		echo "The server ended. The last it said (all of it is in $data/server.log):" >&2
		tail -n 15 "$data/server.log" >&2
		exit 1
	fi
	if [ -s "$data/bootstrap.json" ] && curl -fs --cacert "$data/ca/ca.crt" "https://localhost:$port/readyz" >/dev/null 2>&1; then
		ready=yes
		break
	fi
	sleep 0.1
done
[ -n "$ready" ] || { echo "The server is not ready after 30 seconds; see $data/server.log" >&2; exit 1; }

(umask 077 && sed -n 's/.*"enrollment_token": *"\([^"]*\)".*/\1/p' "$data/bootstrap.json" >"$data/enroll.token")
bin/vedette-agent run --server "https://localhost:$port" --enroll-token-file "$data/enroll.token" \
	--ca "$data/ca/ca.crt" --state-dir "$data/agent" \
	--exclude-path "$(realpath "$data")=$PWD/bin/vedetted" >>"$data/agent.log" 2>&1 &
agent=$!

cat <<TXT

Vedette runs.
  Address       https://localhost:$port/   (its own authority: $data/ca/ca.crt)
  Credentials   $data/bootstrap.json
  Logs          $data/server.log  $data/agent.log
TXT
for _ in $(seq 100); do
	if status=$(bin/vedette-agent status --state-dir "$data/agent" 2>/dev/null) && grep -q "^Sensors .*facilities work" <<<"$status" && ! grep -q "^Sensors *0 " <<<"$status"; then
		break
	fi
	kill -0 $agent 2>/dev/null || break
	sleep 0.1
done
if kill -0 $agent 2>/dev/null; then
	echo
	echo "The agent on this host:"
	bin/vedette-agent status --state-dir "$data/agent" | sed 's/^/  /'
else
	agent=''
	echo
	echo "The agent on this host ended; the server goes on. The last it said:" >&2
	tail -n 10 "$data/agent.log" >&2
fi
cat <<TXT

In another terminal:
  bin/vedette hunt 'DeviceProcessEvents | where Timestamp > ago(5m) | summarize count() by FileName | top 10 by count_'
  bin/vedette device list
Ctrl-C ends both programs. Telemetry stays in $data.
TXT
wait $server
