// Package readme does what the README says, as somebody new would: in a copy of the checkout that has
// nothing local, every command of its sh blocks is run from the top.
//
// The tag readme keeps it from everybody who runs go test ./...: it starts a whole stack. make readme
// sets it.
package readme
