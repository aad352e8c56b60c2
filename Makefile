# Two commands matter: make run, make test. The rest are their parts.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

ROOT     := $(CURDIR)
BIN      := .dev/bin
HOST     := GOWORK=$(ROOT)/infra/host/go.work go run ./infra/host/cmd/host
DEVSTACK := $(BIN)/devstack
APP      := $(BIN)/tenantry

# CI demands every real part; elsewhere what is missing is named at the end.
REAL    := postgres redis rabbitmq cerbos keycloak chromium stripe-mock promtool
REQUIRE := $(if $(CI),--require '$(REAL)')

# Results of an earlier run prove nothing about this machine's parts.
COUNT   := $(if $(CI),-count=1)

ifneq ($(wildcard .env),)
include .env
export $(shell sed -n 's/^\([A-Z][A-Z0-9_]*\)=.*/\1/p' .env)
endif

.PHONY: run test stack seed reset check lint policies acceptance bench-host bench-token bench-broker chaos bench-e2e bench-webhook openapi hooks help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: $(DEVSTACK) ## set up what is missing, start everything, serve the API on 127.0.0.1:4000
	@$(HOST) build -o $(APP)
	@exec $(DEVSTACK) run --seed -- $(APP)

stack: $(DEVSTACK) ## only the local dependencies, for encore run
	@exec $(DEVSTACK) up

seed: $(DEVSTACK) ## the demo tenants into DATABASE_URL, for the people of OIDC_ISSUER_URL; with N=1000, that many tenants with a million resources
	@$(DEVSTACK) seed $(if $(N),--tenants $(N))

reset: $(DEVSTACK) ## throw the local data away
	@$(DEVSTACK) reset

test: $(DEVSTACK) ## everything the project can prove, against real parts
	@exec $(DEVSTACK) exec --real $(REQUIRE) -- $(MAKE) --no-print-directory test-parts

# What make test runs once the parts are there.
.PHONY: test-parts test-host test-app test-acceptance
test-parts: check check-deploy policies test-host test-app test-acceptance readme

check: ## Encore's rules, formatting, vet, and whether the OpenAPI documents are those of the code
	@unformatted=$$(find . -path ./.dev -prune -o -name '*.go' -exec gofmt -l {} +); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	@$(HOST) check
	@$(MAKE) --no-print-directory openapi OPENAPI=$(BIN)/openapi
	@diff -r --exclude='*.go' $(OPENAPI) $(BIN)/openapi || { echo 'an endpoint changed: run make openapi and commit $(OPENAPI)'; exit 1; }
	@eval "$$($(HOST) env)" && go vet ./... && go vet -tags acceptance,local,readme ./infra/acceptance ./infra/readme
	@cd infra/host && go vet ./...
	@cd infra/host/sdk && go vet -tags stockhost ./...

# Policies need the cerbos program and no stack; only where npm is missing the stack installs it first.
CERBOS = $$($(DEVSTACK) tool cerbos)

policies: $(DEVSTACK) ## compile, lint and test the policies, count what the tests cover, translate every plan
	@export CERBOS_BIN=$(CERBOS); if [ -z "$$CERBOS_BIN" ]; then exec $(DEVSTACK) exec -- $(MAKE) --no-print-directory policies; fi; \
	{ "$$CERBOS_BIN" compile --strict-evaluation --output=list --no-color policies | tail -n 5; } & compiled=$$!; \
	go test -count=1 -v ./policies ./policies/lint | grep -E '^(coverage|plans|ok|FAIL|panic| +[a-z_]+_test.go)'; \
	wait $$compiled

.PHONY: mutate-policies bench-authz
mutate-policies: $(DEVSTACK) ## what the policies' tests notice of deliberate mistakes; minutes
	@export CERBOS_BIN=$(CERBOS); if [ -z "$$CERBOS_BIN" ]; then exec $(DEVSTACK) exec -- $(MAKE) --no-print-directory mutate-policies; fi; \
	cd policies && go run ./mutate

bench-authz: $(DEVSTACK) ## decisions by layer against the bare calls below them, interleaved
	@exec $(DEVSTACK) exec --require redis -- env $(HOST) test -run '^$$' -bench '^BenchmarkLayers$$' -benchtime 1x -count=1 ./authz/pdp

.PHONY: bench-openfga
bench-openfga: $(DEVSTACK) ## the same questions under the same rules to Cerbos and to OpenFGA, in turns
	@cd infra/bench/openfga && GOWORK=off go build -o $(ROOT)/$(BIN)/bench-openfga .
	@exec $(DEVSTACK) exec -- $(BIN)/bench-openfga

# The runtime's own tests want a superuser: they start a scratch cluster.
test-host:
	cd infra/host/sdk && env -u DATABASE_URL TEST_RABBITMQ_URL=$${RABBITMQ_URL:-} go test $(COUNT) -tags stockhost ./...
	cd infra/host && go test $(COUNT) ./...
	@if [ -z "$${RABBITMQ_URL:-}" ]; then echo 'not run: the RabbitMQ transport (no broker here)'; fi
	@if [ -z "$${TEST_S3_URL:-}" ]; then echo 'not run: the S3 object store (TEST_S3_URL names one)'; fi

test-app:
	$(HOST) test $(COUNT) ./...
	@if [ -z "$${KEYCLOAK_URL:-}" ]; then echo 'not run: the sign-in suite against Keycloak (none here)'; fi
	@if [ -z "$${WEBDRIVER_URL:-}" ]; then echo 'not run: the sign-in with a browser (none here)'; fi
	@if [ -z "$${STRIPE_MOCK_URL:-}" ]; then echo 'not run: billing against the shapes of stripe-mock (none here)'; fi
	@if [ -z "$${PROMTOOL_BIN:-}" ]; then echo 'not run: the tests of the alert rules (no promtool here)'; fi

# Twice: over the broker inside the process, and over RabbitMQ where there is one.
test-acceptance: clients
	$(HOST) build -o $(APP)
	RABBITMQ_URL= APP_BINARY=$(ROOT)/$(APP) go test -count=1 -tags acceptance,local ./infra/acceptance
	@if [ -n "$${RABBITMQ_URL:-}" ]; then set -x; \
	  APP_BINARY=$(ROOT)/$(APP) go test -count=1 -tags acceptance ./infra/acceptance; fi

acceptance: clients ## the black-box suite against BASE_URL and ISSUER, whatever answers there
	go test -count=1 -tags acceptance ./infra/acceptance

bench-webhook: $(DEVSTACK) ## Stripe's deliveries while ten thousand customers are synchronised: p99 under 20 ms
	@$(DEVSTACK) exec -- env $(HOST) test -run '^$$' -bench WebhookDuringSync -benchtime 1x -timeout 20m ./licensing

OPENAPI := docs/openapi
.PHONY: readme
readme: ## do what the README says, from the top, in a copy that has nothing local
	@go test -count=1 -timeout 20m -tags readme ./infra/readme

openapi: ## write the OpenAPI documents, one an audience, from the annotated code
	@mkdir -p $(OPENAPI)
	@$(HOST) openapi --title Tenantry --version 1 --dir $(OPENAPI)

# The generated clients stay out of the repository: the documents that they are made of are in it.
CLIENTS := .dev/clients
.PHONY: clients
clients: $(CLIENTS)/.made ## Go and TypeScript clients, from the OpenAPI documents, into .dev/clients

$(CLIENTS)/.made: $(wildcard docs/openapi/*.json) $(shell find infra/clients -type f)
	@go run ./infra/clients/go -o $(CLIENTS)/go
	@cd $(CLIENTS)/go && go vet ./...
	@cd infra/clients/go/happy && go vet -tags happy ./...
	@command -v npm >/dev/null || { echo 'the TypeScript client needs npm: apt-get install npm' >&2; exit 1; }
	@mkdir -p $(CLIENTS)/ts && cp -R infra/clients/ts/. $(CLIENTS)/ts/
	@cd $(CLIENTS)/ts; \
	cmp -s package-lock.json node_modules/.installed || { npm ci --no-audit --no-fund --loglevel=error && cp package-lock.json node_modules/.installed; }; \
	OPENAPI=$(ROOT)/docs/openapi npm run --silent generate >npm.log 2>&1 || { cat npm.log; exit 1; }; \
	npm run --silent build
	@touch $@

bench-host: ## the host against a bare net/http handler: throughput, p99, memory
	cd infra/host && go run ./bench

bench-e2e: $(DEVSTACK) ## an authorised read against the bare read: p50, p99, processor time
	@$(HOST) build -o $(APP)
	@go build -o $(BIN)/bench-e2e ./infra/bench/e2e
	@APP_BINARY=$(ROOT)/$(APP) exec $(DEVSTACK) exec --require redis -- $(BIN)/bench-e2e

.PHONY: bench-list bench-export
bench-list: $(DEVSTACK) ## lists out of a million resources against the hand-written query, and how fast they are seeded
	@$(DEVSTACK) exec -- env $(HOST) test -run '^$$' -bench '^BenchmarkList$$' -benchtime 1x -timeout 30m ./orgs

bench-export: $(DEVSTACK) ## the memory and speed of an export of a million rows
	@$(DEVSTACK) exec -- env $(HOST) test -run '^$$' -bench '^BenchmarkExport$$' -benchtime 1x -timeout 30m ./orgs

bench-token: $(DEVSTACK) ## a token against the bare RSA verification, and what identity adds to a request
	go test -run '^$$' -bench Verify -benchtime 2s ./identity/token
	@exec $(DEVSTACK) exec -- env $(HOST) test -run '^$$' -bench Authenticate ./identity

bench-broker: $(DEVSTACK) ## publish-confirm and consume-ack over RabbitMQ against a bare amqp091-go loop
	@$(DEVSTACK) exec --require rabbitmq -- env GOWORK=$(ROOT)/infra/host/go.work go test -run '^$$' -bench AgainstABareLoop -benchtime 1x ./infra/platform/broker

chaos: $(DEVSTACK) ## D minutes of load while every part is killed at random; nothing may be lost or doubled
	@$(HOST) build -o $(APP)
	@$(DEVSTACK) exec -- go run ./infra/chaos -app $(APP) -for $(or $(D),10)m

.PHONY: fuzz-api keyed-crash
fuzz-api: $(DEVSTACK) ## every operation of the API with N valid, boundary and broken inputs (200) of SEED (the time)
	@$(HOST) build -o $(APP)
	@APP_BINARY=$(ROOT)/$(APP) FUZZ_CASES=$(or $(N),200) FUZZ_SEED=$(or $(SEED),$(shell date +%s)) exec $(DEVSTACK) exec -- \
	  go test -count=1 -v -timeout 2h -tags acceptance,local -run TestEveryOperationStandsFuzzing ./infra/acceptance

keyed-crash: $(DEVSTACK) ## N retries of keyed writes (10 000) while the app is killed again and again: one effect each
	@$(HOST) build -o $(APP)
	@APP_BINARY=$(ROOT)/$(APP) KEYED_CALLS=$(or $(N),10000) exec $(DEVSTACK) exec -- \
	  go test -count=1 -v -timeout 1h -tags acceptance,local -run TestKeyedRetries ./infra/acceptance

.PHONY: bench-audit
bench-audit: $(DEVSTACK) ## the audit log: appends against plain inserts, checkpoint lag, proofs and full verification
	GOMAXPROCS=1 go test -run '^$$' -bench . -benchtime 2s ./audit/ledger
	@$(DEVSTACK) exec --durable -- env $(HOST) test -run '^$$' -bench '^BenchmarkAppend$$' -benchtime 1x -timeout 10m ./audit

.PHONY: drill rolling console
console: $(DEVSTACK) ## the operators' console in a headless browser; leaves the README's pictures in docs/console
	@$(HOST) build -o $(APP)
	@$(DEVSTACK) exec --real --require chromium -- env RABBITMQ_URL= CONSOLE_PICTURES=$(ROOT)/docs/console APP_BINARY=$(ROOT)/$(APP) go test -count=1 -v -tags acceptance,local -run TestTheConsole ./infra/acceptance

drill: $(DEVSTACK) ## back up a database at work, restore it to a chosen second, count rows and verify proofs
	@$(HOST) build -o $(APP)
	@$(DEVSTACK) exec -- env RABBITMQ_URL= APP_BINARY=$(ROOT)/$(APP) go test -count=1 -v -tags acceptance,local -run TestADatabaseIsRestored ./infra/acceptance

rolling: $(DEVSTACK) ## replace every process under load: no failed request, no lost job
	@$(HOST) build -o $(APP)
	@$(DEVSTACK) exec -- env RABBITMQ_URL= APP_BINARY=$(ROOT)/$(APP) go test -count=1 -v -tags acceptance,local -run TestARollingRestart ./infra/acceptance

.PHONY: images check-deploy compose-realm
IMAGES := .dev/images
images: ## static binary, OCI image layouts and SBOM, without a container engine or a registry
	@mkdir -p $(IMAGES)
	@CGO_ENABLED=0 $(HOST) build -o $(IMAGES)/tenantry
	@go run ./infra/deploy/images -binary $(IMAGES)/tenantry -out $(IMAGES)/oci -revision "$$(git rev-parse HEAD)" | tee $(IMAGES)/digests
	@GOWORK=off go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -licenses=false -output $(IMAGES)/sbom.cdx.json $(IMAGES)/tenantry
	@echo "SBOM: $$(grep -c '"purl"' $(IMAGES)/sbom.cdx.json) modules in $(IMAGES)/sbom.cdx.json"

check-deploy: ## Dockerfiles, compose file, manifests and workflows against their own tools
	@infra/deploy/check.sh

compose-realm: ## the realm with its demo users, for infra/deploy/compose.yaml
	@mkdir -p .dev/compose/realm
	@go run ./infra/keycloak/cmd/mergerealm infra/keycloak/tenantry-realm.json infra/keycloak/demo.json > .dev/compose/realm/tenantry-realm.json

lint: ## golangci-lint, if installed
	@GOWORK=$(ROOT)/infra/host/go.work golangci-lint run ./...

hooks: ## check before every commit
	git config core.hooksPath .githooks

$(DEVSTACK): go.mod go.sum $(shell find infra/devstack infra/keycloak/realm -name '*.go')
	@test -e $@ || echo 'building; the first time this takes minutes on a small machine' >&2
	@mkdir -p $(BIN)
	@go build -buildvcs=false -o $@ ./infra/devstack/cmd/devstack
