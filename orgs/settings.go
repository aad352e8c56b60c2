package orgs

import (
	"encoding/json"
	"sync"

	"encore.app/authz"
	"encore.app/infra/platform/etag"
	"encore.app/infra/platform/fault"
	"encore.app/orgs/setting"
	"encore.dev/beta/errs"
	"encore.dev/types/uuid"
)

var secrets struct {
	// SETTINGS is the operator's layer of the settings: a JSON object of key → value, or nothing.
	SETTINGS string //host:optional
}

// environment is read once; a value that does not fit keeps the service from starting.
var environment = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	return setting.ParseEnv(secrets.SETTINGS)
})

// Setting is a setting as somebody finds it: its value, and which layer decided.
type Setting struct {
	Key         string          `json:"key"`
	Value       json.RawMessage `json:"value"`                                            // null for a secret
	Source      string          `json:"source" schema:"enum=default|env|global|tier|org"` // default, env, global, tier, org
	Locked      bool            `json:"locked"`                                           // the organisation may not set it
	Secret      bool            `json:"secret"`
	Type        string          `json:"type" schema:"enum=string|integer|boolean|enum|string_list|duration"` // string, integer, boolean, enum, string_list, duration
	Options     []string        `json:"options"`
	Description string          `json:"description"`
	Version     int64           `json:"version"` // of the asker's own layer; 0 if nothing was ever set there
	ETag        string          `json:"-" header:"ETag"`
}

// EffectiveSetting is what a member is told of a setting.
type EffectiveSetting struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`  // null for a secret
	Source string          `json:"source"` // default, env, global, tier, org
	Secret bool            `json:"secret"`
}

// ListSettingsResponse is one page, by key.
type ListSettingsResponse struct {
	Items      []Setting `json:"items"`
	NextCursor string    `json:"next_cursor"`
}

// ReplaceSettingRequest sets a value.
type ReplaceSettingRequest struct {
	Value   json.RawMessage `json:"value"`
	IfMatch string          `header:"If-Match"`
}

// Validate checks the request.
func (r *ReplaceSettingRequest) Validate() error { return wantValue(r.Value, r.IfMatch) }

// wantValue wants a value, whatever it is: of which type is for the setting to say.
func wantValue(value json.RawMessage, ifMatch string) error {
	var c fault.Checks
	if len(value) == 0 {
		c.Add("value", "is required")
	}
	etag.Check(&c, ifMatch)
	return c.Err()
}

// ResetSettingRequest takes a value back.
type ResetSettingRequest struct {
	IfMatch string `header:"If-Match"`
}

// Validate checks the request.
func (r *ResetSettingRequest) Validate() error {
	var c fault.Checks
	etag.Check(&c, r.IfMatch)
	return c.Err()
}

// payload is row as its own layer sees it.
func (row settingRow) payload(version int64) *Setting {
	s, r := row.Setting, row.Resolved
	out := &Setting{
		Key: s.Key, Value: shown(s, r), Source: string(r.Source), Locked: r.Locked, Secret: s.Secret,
		Type: string(s.Type), Options: append([]string{}, s.Options...), Description: s.Description, Version: version,
	}
	if version > 0 {
		out.ETag = etag.Of(version)
	}
	return out
}

// shown is the value, unless nobody may see it.
func shown(s *setting.Setting, r setting.Resolved) json.RawMessage {
	if s.Secret {
		return json.RawMessage("null")
	}
	return r.Value
}

// toldOf is how the audit log is told of a value.
func toldOf(s *setting.Setting, value json.RawMessage) map[string]any {
	if s.Secret {
		return map[string]any{"secret": true}
	}
	return map[string]any{"value": value}
}

// knownSetting is the setting of a key, and value in its one form.
func knownSetting(key string, value json.RawMessage) (*setting.Setting, json.RawMessage, error) {
	s, ok := setting.Find(key)
	if !ok {
		return nil, nil, fault.NotFound("setting")
	}
	if value == nil {
		return s, nil, nil
	}
	parsed, err := s.Parse(value)
	if err != nil {
		var c fault.Checks
		c.Add("value", "%s", err.Error())
		return nil, nil, c.Err()
	}
	return s, parsed, nil
}

var errSettingLocked = fault.New(errs.PermissionDenied, fault.SettingLocked, "the platform has locked this setting")

// settingResource is a setting as policies see it; uuid.Nil is the platform.
func settingResource(org uuid.UUID, key string) authz.Resource {
	r := authz.Resource{Kind: "setting", ID: key}
	if org != uuid.Nil {
		r.OrgID = org.String()
	}
	return r
}
