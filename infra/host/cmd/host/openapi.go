package main

import (
	"flag"
	"io"
	"os"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/openapi"
)

func openAPI(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	var opts openapi.Options
	fs.StringVar(&opts.Audience, "audience", "all", "`namespace` to describe: admin, org, app or all")
	fs.StringVar(&opts.Title, "title", "", "title of the document (default: the app's id or module)")
	fs.StringVar(&opts.Version, "version", "", "version of the API (default: 0)")
	output := fs.String("o", "", "output `file` (default: standard output)")
	if err := fs.Parse(args); err != nil {
		return err
	}
	ws, err := o.open()
	if err != nil {
		return err
	}
	a, _, err := app.Read(ws)
	if err != nil {
		return err
	}
	doc, err := openapi.Document(a, opts)
	if err != nil {
		return err
	}
	if *output != "" {
		return os.WriteFile(*output, doc, 0o644)
	}
	_, err = out.Write(doc)
	return err
}
