package encore

import (
	"net/url"
	"os"
	"time"

	"encore.dev/internal/appinfo"
)

// AppMetadata describes the running app.
type AppMetadata struct {
	AppID       string  // the id in encore.app, "" if it has none
	APIBaseURL  url.URL // where the API is reached: PUBLIC_BASE_URL, else localhost
	Environment EnvironmentMeta
	Build       BuildMeta
	Deploy      DeployMeta
}

// EnvironmentMeta describes where the app runs.
type EnvironmentMeta struct {
	Name  string // APP_ENV
	Type  EnvironmentType
	Cloud CloudProvider
}

// BuildMeta describes the binary.
type BuildMeta struct {
	Revision           string // the commit it was built from
	UncommittedChanges bool
}

// DeployMeta describes the deployment.
type DeployMeta struct {
	ID   string // DEPLOY_ID
	Time time.Time
}

// EnvironmentType is the type of an environment.
type EnvironmentType string

const (
	EnvProduction  EnvironmentType = "production"
	EnvDevelopment EnvironmentType = "development"
	EnvEphemeral   EnvironmentType = "ephemeral"

	// EnvLocal is never returned.
	//
	// Deprecated: a local environment is EnvDevelopment with CloudLocal.
	EnvLocal EnvironmentType = "local"

	EnvTest EnvironmentType = "test"
)

// CloudProvider is the cloud an environment is in.
type CloudProvider string

const (
	CloudAWS    CloudProvider = "aws"
	CloudGCP    CloudProvider = "gcp"
	CloudAzure  CloudProvider = "azure"
	EncoreCloud CloudProvider = "encore"
	CloudLocal  CloudProvider = "local"
)

// started stands for the time of the deployment, which the host does not know.
var started = time.Now()

// Meta describes the running app. It is never nil.
func Meta() *AppMetadata {
	env, info := appinfo.CurrentEnv(), appinfo.Get()
	return &AppMetadata{
		AppID:       info.ID,
		APIBaseURL:  baseURL(os.Getenv("PUBLIC_BASE_URL"), os.Getenv("PORT")),
		Environment: environment(env),
		Build:       BuildMeta{Revision: info.Revision, UncommittedChanges: info.Modified},
		Deploy:      DeployMeta{ID: os.Getenv("DEPLOY_ID"), Time: started},
	}
}

func environment(env appinfo.Env) EnvironmentMeta {
	m := EnvironmentMeta{Name: string(env), Type: EnvDevelopment, Cloud: CloudLocal}
	switch env {
	case appinfo.Test:
		m.Type = EnvTest
	case appinfo.Staging, appinfo.Production:
		m.Type = EnvProduction
	}
	return m
}

func baseURL(public, port string) url.URL {
	if u, err := url.Parse(public); public != "" && err == nil {
		return *u
	}
	if port == "" {
		port = "8080"
	}
	return url.URL{Scheme: "http", Host: "localhost:" + port}
}
