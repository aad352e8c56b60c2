// Package cerbos fetches and runs the Cerbos policy decision point.
//
// The server comes from its npm package, once, into a directory of the checkout. Version and
// checksums are pinned in this package: the archive is checked before it is opened, the program
// before each start. Where npm has no package for the machine, or cannot be reached, the same
// version is built from its Go module.
package cerbos
