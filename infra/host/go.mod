module encore.app/infra/host

go 1.26
