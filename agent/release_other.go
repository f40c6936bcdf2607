//go:build !linux

package agent

import "context"

func isolationOf(string, string) (func(context.Context) Released, func(), error) {
	return nil, nil, errPlatform
}
