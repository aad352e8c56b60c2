{
	// Unlinked: the app runs without an Encore account.
	"id": "",
	"lang": "go",
	// Origins that may send credentials are listed by the operator (CORS_ORIGINS); none by default.
	"global_cors": {
		"allow_origins_without_credentials": [],
		"allow_headers": ["Idempotency-Key", "If-Match", "traceparent", "tracestate"],
		"expose_headers": ["ETag", "Idempotency-Replayed", "RateLimit", "RateLimit-Policy", "Retry-After"]
	}
}
