//go:build acceptance

package acceptance

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain finds the app under test: the one at BASE_URL, or APP_BINARY started for this run.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if base := os.Getenv("BASE_URL"); base != "" {
		target.base, target.issuer = base, must("ISSUER")
		return m.Run()
	}
	target.issuer = must("OIDC_ISSUER_URL")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	app, err := startApp(ctx, appConfig{database: must("DATABASE_URL"), seed: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		return 1
	}
	defer app.stop()
	target.base = app.base
	stockHost = true
	return m.Run()
}

// stockHost says that the app under test is on the stock-Go host, which has limits of its own and
// whose own answers carry details. Elsewhere a proxy has the limits, and they are not the app's to test.
var stockHost = os.Getenv("STOCK_HOST") != ""
