// Package scan looks for malware in files, archives and the memory of processes.
//
// Three engines are asked: its own (digests that indicators name, and the EICAR test file,
// in zip, tar, gzip, bzip2 and zstd, nested), clamd where it is installed, and YARA rules
// by the yara program, which runs in a process of its own without rights, network or
// write access. It decides nothing about what it finds beyond a policy that its caller
// states, and takes nothing away itself.
//
// Everything that it reads is hostile: archives are bounded in depth, entries and bytes;
// files are opened by descriptor and never followed; what is not looked at is counted and
// told. It works at a pace: one thread, whose processor time and that of its helpers stays
// below a share of one processor. The invariant: Report.Complete says that every engine
// that was there has seen every file, and engines have proved at the beginning that they
// find what they must. Start at Scanner.Run.
package scan
