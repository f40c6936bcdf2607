// Package trust knows which files the packages of a device installed, and with which
// content.
//
// It reads the databases of dpkg (md5sums of files, digests of configuration files, diversions)
// and rpm (digests of files), and runs neither. What a package made when it was installed, and
// did not bring, is in no database: it is not a package's file. The invariants: a database that
// cannot be read leaves what was known before in force; a file is a package's only under the
// name that the package gave it, and only with the content that it came with. Start at
// Database.Refresh and Database.Has.
package trust
