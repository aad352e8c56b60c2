package main

import (
	"flag"
	"io"
	"os"
	"path/filepath"

	"encore.app/infra/host/internal/app"
	"encore.app/infra/host/internal/openapi"
)

func openAPI(o *options, fs *flag.FlagSet, args []string, out io.Writer) error {
	var opts openapi.Options
	fs.StringVar(&opts.Audience, "audience", "all", "`namespace` to describe: admin, org, app or all")
	fs.StringVar(&opts.Title, "title", "", "title of the document (default: the app's id or module)")
	fs.StringVar(&opts.Version, "version", "", "version of the API (default: 0)")
	output := fs.String("o", "", "output `file` (default: standard output)")
	dir := fs.String("dir", "", "`directory` for one document an audience and the whole one, instead")
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
	if *dir != "" {
		return writeDocuments(a, opts, *dir)
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

// writeDocuments writes every document that an app has.
func writeDocuments(a *app.App, opts openapi.Options, dir string) error {
	title := opts.Title
	for _, audience := range append([]string{"all"}, openapi.Audiences...) {
		opts.Audience = audience
		if opts.Title = title; title != "" && audience != "all" {
			opts.Title = title + ": " + audience
		}
		doc, err := openapi.Document(a, opts)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, audience+".json"), doc, 0o644); err != nil {
			return err
		}
	}
	return nil
}
