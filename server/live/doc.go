// Package live is the server's side of live response: interactive sessions with a device.
//
// It decides who may have one and what it may do there, joins the console of a person with
// the stream of the device, and keeps what happened: every command in the audit log and in
// the session's own log before the device hears of it, and everything that was shown as a
// transcript in the asciicast format. What commands mean only the device knows.
//
// The invariants: a device has one session at a time; what a session may do is settled
// when it is asked for and signed for the device; what one side does not read the other
// cannot send, so that no session takes memory without bound; a session ends when its
// console closes, when nobody says anything for half an hour, and with the server.
// Start at Service.Open, then relay.go, and its two sides: stream.go and console.go.
package live
