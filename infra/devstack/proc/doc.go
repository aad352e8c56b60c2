// Package proc runs the child processes of the local stack so that none of them
// outlives it, however it ends.
//
// Three things see to that. A child is started from a goroutine locked to its
// OS thread and asks the kernel for a signal when that thread dies, so it goes
// even on kill -9 of the parent. A guard, a few lines of shell in a session of
// its own, does the same for what the child itself started: it holds a pipe to
// the parent and ends the child's process group when the pipe closes. And a pid
// file lets the next run find what both of them missed.
//
// [Launch] runs one process once; [Start] keeps one running until it is stopped.
package proc
