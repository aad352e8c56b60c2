package setting

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// The keys that this program reads itself. The others are for its clients.
const (
	AuditRetentionDays    = "audit.retention_days"
	ExportIncludeAudit    = "export.include_audit"
	ExportSigningSecret   = "export.signing_secret"
	InvitationsDomains    = "invitations.allowed_domains"
	InvitationsValidFor   = "invitations.valid_for"
	OffboardingEraseAfter = "offboarding.erase_after"
)

const (
	hour = int64(time.Hour / time.Second)
	day  = 24 * hour
)

var registry = sorted([]*Setting{
	{
		Key: "branding.display_name", Type: String, Max: 100, Default: `""`,
		Description: "The name that members see; empty is the organisation's own.",
	},
	{
		Key: "branding.primary_color", Type: String, Max: 7, Default: `"#2f5bea"`,
		Pattern: regexp.MustCompile(`^#[0-9a-f]{6}$`), Format: "a colour such as #2f5bea",
		Description: "The colour of buttons and links.",
	},
	{
		Key: "branding.support_url", Type: String, Max: 500, Default: `""`,
		Pattern: regexp.MustCompile(`^https://[^\s]+$`), Format: "an https address",
		Description: "Where members get help.",
	},
	{
		Key: "locale.language", Type: Enum, Options: []string{"de", "en", "es", "fr", "it", "nl", "pl", "pt"}, Default: `"en"`,
		Description: "The language of the console.",
	},
	{
		Key: "resources.default_sensitivity", Type: Enum, Options: []string{"public", "internal", "confidential", "restricted"}, Default: `"internal"`,
		Description: "What the console suggests for new projects, docs and records.",
	},
	{
		Key: InvitationsValidFor, Type: Duration, Min: hour, Max: 30 * day, Default: `"168h"`,
		Description: "How long an invitation can be accepted.",
	},
	{
		Key: InvitationsDomains, Type: StringList, Max: 50, Default: `[]`,
		Pattern: regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`), Format: "domains such as example.com",
		Description: "The e-mail domains that may be invited; empty is any.",
	},
	{
		Key: AuditRetentionDays, Type: Integer, Min: 30, Max: 3650, Default: `730`,
		Tiers:       map[string]string{"free": `90`, "enterprise": `2555`},
		Description: "How long the contents of audit events are kept; their hashes stay.",
	},
	{
		Key: ExportIncludeAudit, Type: Boolean, Default: `true`,
		Description: "Whether an export holds the organisation's audit events.",
	},
	{
		Key: ExportSigningSecret, Type: String, Max: 200, Default: `""`, Secret: true,
		Description: "The key of an HMAC-SHA256 over every export, for whoever receives it to check.",
	},
	{
		Key: OffboardingEraseAfter, Type: Duration, Max: 365 * day, Default: `"0s"`, PlatformOnly: true,
		Description: "How long an organisation has to be suspended before it can be erased.",
	},
})

func sorted(all []*Setting) []*Setting {
	slices.SortFunc(all, func(a, b *Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}
