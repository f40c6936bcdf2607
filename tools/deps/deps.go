//go:build deps

// Package deps keeps modules in go.mod while the packages that use them are written.
package deps

import (
	_ "connectrpc.com/connect"
	_ "github.com/alecthomas/kong"
	_ "github.com/cilium/ebpf"
	_ "github.com/cilium/ebpf/ringbuf"
	_ "github.com/cockroachdb/datadriven"
	_ "github.com/duckdb/duckdb-go/v2"
	_ "github.com/go-jose/go-jose/v4"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/nftables"
	_ "github.com/google/uuid"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/mdlayher/netlink"
	_ "github.com/planetscale/vtprotobuf/protohelpers"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/shirou/gopsutil/v4/host"
	_ "github.com/vishvananda/netns"
	_ "go.yaml.in/yaml/v4"
	_ "golang.org/x/crypto/argon2"
	_ "golang.org/x/net/http2"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
	_ "google.golang.org/protobuf/proto"
	_ "modernc.org/libc"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
)
