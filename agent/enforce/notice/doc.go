// Package notice tells the user of a terminal what an indicator warns of, and what the
// restriction of execution kept from running.
//
// It cannot ask: programs on a server have nobody to ask, and what is warned of goes on in
// any case. The invariants: a terminal whose user does not want messages (mesg n) gets
// none, no control character that another program chose reaches a terminal, and no caller waits
// for one. Start at Teller.
package notice
