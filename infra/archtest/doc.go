// Package archtest holds the tests that guard the house itself: which way imports run, that every
// package says what it is for, that no service reads another's tables.
package archtest
