package principal

// The audiences a token can be for. Each opens its own namespace of the API and no other.
const (
	AudienceAdmin = "tenantry-admin" // platform staff
	AudienceOrg   = "tenantry-org"   // an organisation's administrators
	AudienceApp   = "tenantry-app"   // its members
)
