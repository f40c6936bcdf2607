// Package hash digests executables: SHA-1, SHA-256 and MD5 in one pass over the file.
//
// A digest is kept under what the kernel says of the file (device, inode, modification and
// change time, size), so a file is read once for as long as it does not change. A file is
// named by paths that anybody may have replaced meanwhile: what was opened is compared with
// what the kernel reported, and is given no digest when it differs. Only regular files are
// read, never longer than a set size, and never a file that would block.
//
// Start reading at Pool.
package hash
