package event

import "encoding/json"

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that OCSF follows.
const ocsfVersion = "1.4.0"

// Classes of OCSF that events are told as.
const (
	ocsfAccountChange = 3001
	ocsfUserAccess    = 3005
	ocsfAPIActivity   = 6003
)

// OCSF is an event as OCSF has it: an account change, a change of what somebody may do, or else API
// activity.
type OCSF struct {
	ActivityID  int            `json:"activity_id"`
	Actor       ocsfActor      `json:"actor"`
	API         ocsfAPI        `json:"api"`
	CategoryUID int            `json:"category_uid"`
	ClassUID    int            `json:"class_uid"`
	Metadata    ocsfMetadata   `json:"metadata"`
	Resources   []ocsfResource `json:"resources"`
	SeverityID  int            `json:"severity_id"`
	SrcEndpoint ocsfEndpoint   `json:"src_endpoint"`
	StatusID    int            `json:"status_id"`
	Status      string         `json:"status"`
	Time        int64          `json:"time"` // milliseconds
	TypeUID     int            `json:"type_uid"`
	User        *ocsfUser      `json:"user,omitempty"`
	Unmapped    ocsfUnmapped   `json:"unmapped"`
}

type ocsfActor struct {
	User    ocsfUser  `json:"user"`
	Invoked *ocsfUser `json:"invoked_by_user,omitempty"`
}

type ocsfUser struct {
	UID  string `json:"uid"`
	Type string `json:"type,omitempty"`
}

type ocsfAPI struct {
	Operation string      `json:"operation"`
	Request   ocsfRequest `json:"request"`
}

type ocsfRequest struct {
	UID string `json:"uid"`
}

type ocsfMetadata struct {
	Product  ocsfProduct `json:"product"`
	Sequence int64       `json:"sequence"`
	Tenant   string      `json:"tenant_uid"`
	UID      string      `json:"uid"`
	Version  string      `json:"version"`
}

type ocsfProduct struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type ocsfResource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type ocsfEndpoint struct {
	IP string `json:"ip,omitempty"`
}

type ocsfUnmapped struct {
	Changes       json.RawMessage `json:"changes"`
	DecisionID    string          `json:"decision_id"`
	LeafHash      string          `json:"leaf_hash"`
	Outcome       Outcome         `json:"outcome"`
	PolicyVersion string          `json:"policy_version"`
}

// other is OCSF's word for what has no number.
const other = 99

// ToOCSF is e as OCSF has it.
func ToOCSF(e Event) OCSF {
	o := OCSF{
		Actor:     ocsfActor{User: ocsfUser{UID: e.Actor.ID, Type: e.Actor.Type}},
		API:       ocsfAPI{Operation: e.Action, Request: ocsfRequest{UID: e.RequestID}},
		Metadata:  ocsfMetadata{Product: ocsfProduct{Name: "Tenantry", Vendor: "Tenantry"}, Sequence: e.Seq, Tenant: e.OrgID.String(), UID: e.ID.String(), Version: ocsfVersion},
		Resources: []ocsfResource{{Type: e.Resource.Kind, UID: e.Resource.ID}}, SeverityID: 1,
		SrcEndpoint: ocsfEndpoint{IP: e.IP}, StatusID: 1, Status: "Success", Time: e.OccurredAt.UnixMilli(),
		Unmapped: ocsfUnmapped{Changes: e.Changes, DecisionID: e.DecisionID, LeafHash: e.LeafHash, Outcome: e.Outcome, PolicyVersion: e.PolicyVersion},
	}
	if e.Actor.ImpersonatorID != "" {
		o.Actor.Invoked = &ocsfUser{UID: e.Actor.ImpersonatorID, Type: "user"}
	}
	if e.Outcome == Denied || e.Outcome == Failed {
		o.StatusID, o.Status, o.SeverityID = 2, "Failure", 2
	}
	o.ClassUID, o.ActivityID = ocsfClass(e)
	if o.ClassUID == ocsfAccountChange {
		o.User = &ocsfUser{UID: e.Resource.ID}
	}
	o.CategoryUID = o.ClassUID / 1000
	o.TypeUID = o.ClassUID*100 + o.ActivityID
	return o
}

func ocsfClass(e Event) (class, activity int) {
	activities := map[string]int{"create": 1, "read": 2, "list": 2, "update": 3, "delete": 4}
	switch class = ocsfAPIActivity; e.Resource.Kind {
	case "user":
		class = ocsfAccountChange
		activities = map[string]int{"create": 1, "user:enable": 2, "user:disable": 5, "delete": 6, "user:erase": 6}
	case "membership", "api_key":
		class = ocsfUserAccess
		activities = map[string]int{"create": 1, "delete": 2}
	}
	if activity = activities[e.Action]; activity == 0 {
		activity = other
	}
	return class, activity
}
