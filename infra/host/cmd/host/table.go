package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"encore.app/infra/host/internal/app"
)

// table lists what an app has.
func table(a *app.App, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SERVICE\tENDPOINT\tACCESS\tMETHODS\tPATH\tTAGS\tAT")
	for _, s := range a.Services {
		if len(s.Endpoints) == 0 {
			fmt.Fprintf(w, "%s\t-\n", s.Name)
		}
		for _, e := range s.Endpoints {
			access := string(e.Access)
			if e.Raw {
				access += " raw"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, e.Name, access,
				strings.Join(e.Methods, ","), e.Path, strings.Join(e.Tags, ","), e.Position)
		}
	}
	if a.Auth != nil {
		fmt.Fprintf(w, "\nAUTH HANDLER\t%s.%s\n", a.Auth.Service.Name, a.Auth.Name)
	}
	if len(a.Middleware) > 0 {
		fmt.Fprintln(w, "\nMIDDLEWARE\tSCOPE\tTARGET\tORDER")
	}
	for _, m := range a.Middleware {
		scope, target := "global", "all"
		if !m.Global {
			scope = m.Service.Name
		}
		if len(m.Tags) > 0 {
			target = strings.Join(m.Tags, ",")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", m.Name, scope, target, m.Order)
	}
	if len(a.Resources) > 0 {
		fmt.Fprintln(w, "\nRESOURCE\tNAME\tAT")
	}
	for _, r := range a.Resources {
		name := r.Name
		if r.Topic != "" {
			name += " on " + r.Topic
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Kind, name, r.Position)
	}
	return w.Flush()
}
