// A module of its own: it needs the generated client, which is never in the repository.
module encore.app/infra/clients/go/happy

go 1.26.0

require tenantry v0.0.0

replace tenantry => ../../../../.dev/clients/go
