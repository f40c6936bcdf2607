// Package mounttest gives a test file systems that it alone uses, and takes them away when it
// ends, however it ends. Who is not root cannot mount: such a test is skipped.
package mounttest
