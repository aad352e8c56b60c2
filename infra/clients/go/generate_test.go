package main

import (
	"bytes"
	"strings"
	"testing"

	"encore.app/docs/openapi"
)

const small = `{"info":{"title":"Small"},"paths":{"/things/{thing_id}":{"patch":{
  "operationId":"shop.Change","description":"Changes a thing.",
  "parameters":[{"name":"thing_id","in":"path","required":true,"schema":{"type":"string"}},
    {"name":"dry_run","in":"query","schema":{"type":"boolean"}},{"$ref":"#/components/parameters/Key"}],
  "requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/shop.Change"}}}},
  "responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/shop.Thing"}}}}}}}},
 "components":{"parameters":{"Key":{"name":"Idempotency-Key","in":"header","required":true,"schema":{"type":"string"}}},"schemas":{
  "shop.Change":{"type":"object","properties":{"name":{"type":"string"},"team_id":{"type":["string","null"]}}},
  "shop.Thing":{"type":"object","required":["id","at","gone_at","tags"],"properties":{"id":{"type":"string","format":"uuid"},
    "at":{"type":"string","format":"date-time"},"gone_at":{"type":["string","null"],"format":"date-time"},
    "tags":{"type":"array","items":{"type":"string","enum":["a"]}}}}}}}`

func TestAnOperationBecomesAMethod(t *testing.T) {
	t.Parallel()
	got, err := generate("small", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(got)), " ")
	for _, want := range []string{
		"func (c *Client) Change(ctx context.Context, thingID string, params ChangeParams, body Change, opts ...client.Option) (*Thing, error)",
		`client.Call{Method: "PATCH", Path: "/things/" + url.PathEscape(thingID), Query: params.query(), Body: body, Keyed: true}`,
		"Name *string `json:\"name,omitzero\"`",
		"TeamID client.Maybe[string] `json:\"team_id,omitzero\"`",
		"At time.Time `json:\"at\"`",
		"GoneAt *time.Time `json:\"gone_at\"`",
		"Tags []string `json:\"tags\"`",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("without %s:\n%s", want, got)
		}
	}
}

func TestGeneratingTwiceGivesOneResult(t *testing.T) {
	t.Parallel()
	for _, audience := range audiences {
		document, err := openapi.Files.ReadFile(audience + ".json")
		if err != nil {
			t.Fatal(err)
		}
		first, err := generate(audience, document)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := generate(audience, document); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s differs, %v", audience, err)
		}
	}
}
