#!/bin/sh
# Regenerates the Go form of the .proto files beside this script. Needs protoc (made with
# libprotoc 3.21.12); the plugins are installed into a scratch directory at these versions.
set -eu
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GOBIN=$bin go install connectrpc.com/connect/cmd/protoc-gen-connect-go@v1.21.1
GOBIN=$bin go install github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@v0.6.1-0.20240319094008-0393e58bdf10
PATH=$bin:$PATH protoc --proto_path=. \
	--go_out=. --go_opt=paths=source_relative \
	--connect-go_out=. --connect-go_opt=paths=source_relative \
	link.proto batch.proto
PATH=$bin:$PATH protoc --proto_path=. \
	--go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size \
	batch.proto
