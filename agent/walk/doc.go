// Package walk goes through the files of a device as they lie on its disks.
//
// It follows no symbolic links and opens nothing but directories by itself; what it hands
// out is a regular file behind the directory's descriptor, so that a name that is swapped
// meanwhile leads nowhere else. It never enters file systems that hold no files of the
// device's own: those of the kernel, of the network and of user-space servers, whose
// answers may never come. It reads no content.
//
// The invariant: what was left out is counted in Stats, or told by name. Start at Walk.
package walk
