// Package cron runs endpoints on a schedule.
//
//	var _ = cron.NewJob("sweep", cron.JobConfig{Title: "Sweep", Every: 10 * cron.Minute, Endpoint: Sweep})
//
// Jobs run in processes with the scheduler role, each tick once however many of
// them there are; a tick missed while none was up runs once afterwards. Package
// internal/schedule says how. encore.CurrentRequest().CronIdempotencyKey
// identifies the tick. Endpoints run as in a call from another service, with
// middleware and without a caller. Tests run no jobs.
package cron
