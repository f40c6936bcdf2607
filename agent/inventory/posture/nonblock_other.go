//go:build !linux

package posture

const nonblock = 0
