#!/usr/bin/env bash
# Installs what the given purpose needs and is missing. Usage: setup.sh run|test
set -euo pipefail

declare -A package=(
	[gcc]=gcc [g++]=g++ [git]=git [curl]=curl
	[rsync]=rsync [cron]=cron [logrotate]=logrotate [perl]=perl [vim]=vim [unshare]=util-linux
	[ip]=iproute2 [nft]=nftables [sshd]=openssh-server [ssh]=openssh-client
	[node]=nodejs [npm]=npm [auditctl]=auditd [tcpdump]=tcpdump [useradd]=passwd [su]=util-linux [script]=bsdutils [pkill]=procps [rpmbuild]=rpm [chromium]=chromium
	[yara]=yara [clamd]=clamav-daemon [bzip2]=bzip2 [unzip]=unzip [strace]=strace [oathtool]=oathtool
)
case "${1:-}" in
run) need=(gcc g++ git curl node npm) ;;
test) need=(gcc g++ git curl ip nft ssh sshd auditctl tcpdump useradd su script pkill rpmbuild node npm chromium rsync cron logrotate perl vim unshare yara clamd bzip2 unzip strace oathtool) ;;
*) echo "usage: $0 run|test" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
if ! command -v go >/dev/null; then
	echo "Vedette is built with Go, which is not installed: see https://go.dev/doc/install" >&2
	exit 1
fi
missing=()
for tool in "${need[@]}"; do
	command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
done

# The tests compare queries with Kusto's own parser, an npm package.
kusto() {
	[ "$1" = test ] || return 0
	local dir
	dir=$(dirname "$0")/kqlcompare
	[ -e "$dir/node_modules/.package-lock.json" ] && [ ! "$dir/package-lock.json" -nt "$dir/node_modules/.package-lock.json" ] && return 0
	npm ci --no-audit --no-fund --silent --prefix "$dir"
}

# The portal is built with Node 20.19 or newer, which not every distribution has: then the
# official build comes from npm and stays in this checkout.
node_new() { "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }
portal_node() {
	node_new node && return 0
	local root arch
	root=$(cd "$(dirname "$0")/.." && pwd)
	node_new "$root/bin/tools/node/bin/node" && return 0
	case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) echo "Please install Node 20.19 or newer" >&2; return 1 ;; esac
	echo "Fetching Node 20: $(node --version) is too old for the portal's build"
	mkdir -p "$root/bin/tools"
	npm install --no-audit --no-fund --silent --ignore-scripts --no-save --prefix "$root/bin/tools/npm" "node-linux-$arch@20.20.2"
	ln -sfn "npm/node_modules/node-linux-$arch" "$root/bin/tools/node"
}

if [ ${#missing[@]} -eq 0 ]; then
	kusto "$1"
	portal_node
	exit 0
fi

if ! command -v apt-get >/dev/null; then
	echo "Please install these with your package manager: ${missing[*]}" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing; as root run: apt-get install ${missing[*]}" >&2
	exit 1
fi
echo "Installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# A package that brings a service must not start it here: the tests run their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' > $policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
kusto "$1"
portal_node
