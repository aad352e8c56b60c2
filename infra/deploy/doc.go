// Package deploy holds what the app is deployed with: Dockerfiles, a compose file for development,
// Kubernetes manifests, the configuration for images that Encore builds, and dashboards and alerts.
// docs/deployment.md says how to use it, check.sh holds it to the rules of each tool, and the tests here
// hold it to what the app demands.
package deploy
