package main

import (
	"errors"
	"flag"
	"io"
)

func openAPI(o *options, fs *flag.FlagSet, args []string, out io.Writer) error { return errors.New("x") }
