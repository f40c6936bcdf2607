// Package process is the agent's table of processes: which process a pid stands for, what
// image it runs, who started it.
//
// The table is fed by a sensor (Fork, Exec, Exit) and by Snapshot, which reads /proc once
// at start; everybody else only asks. What it hands out are values of event.Process that
// never change: another exec, or a hash that became known, makes a new value. A process
// that ended stays for a while, so that late events still find it.
//
// The table is bounded: what it throws out to stay so is counted in Stats. Start reading
// at Table.
package process
