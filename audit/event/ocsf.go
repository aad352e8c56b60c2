package event

import (
	"cmp"
	"encoding/json"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that OCSF follows.
const ocsfVersion = "1.4.0"

// Classes of OCSF that events are told as.
const (
	ocsfAccountChange = 3001
	ocsfUserAccess    = 3005
	ocsfAPIActivity   = 6003
)

// OCSF is an event as OCSF has it: an account change, a change of what somebody may do, or else API
// activity. Each class has its own members; what none has a place for is in unmapped.
type OCSF struct {
	ActivityID   int            `json:"activity_id"`
	ActivityName string         `json:"activity_name"`
	Actor        ocsfActor      `json:"actor"`
	API          *ocsfAPI       `json:"api,omitempty"` // API activity
	CategoryUID  int            `json:"category_uid"`
	ClassUID     int            `json:"class_uid"`
	Metadata     ocsfMetadata   `json:"metadata"`
	Privileges   *[]string      `json:"privileges,omitempty"` // user access
	Resources    []ocsfResource `json:"resources,omitempty"`  // API activity
	SeverityID   int            `json:"severity_id"`
	SrcEndpoint  ocsfEndpoint   `json:"src_endpoint"`
	StatusID     int            `json:"status_id"`
	Status       string         `json:"status"`
	Time         int64          `json:"time"` // milliseconds
	TypeUID      int            `json:"type_uid"`
	User         *ocsfUser      `json:"user,omitempty"` // account change and user access
	Unmapped     ocsfUnmapped   `json:"unmapped"`
}

type ocsfActor struct {
	User ocsfUser `json:"user"`
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

// ocsfResource has at least one of name and uid.
type ocsfResource struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}

// ocsfEndpoint has at least one of its members.
type ocsfEndpoint struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"`
}

type ocsfUnmapped struct {
	Action         string          `json:"action"`
	Changes        json.RawMessage `json:"changes"`
	DecisionID     string          `json:"decision_id"`
	ImpersonatorID string          `json:"impersonator_id,omitempty"`
	LeafHash       string          `json:"leaf_hash"`
	Outcome        Outcome         `json:"outcome"`
	PolicyVersion  string          `json:"policy_version"`
	RequestID      string          `json:"request_id"`
}

// other is OCSF's word for what has no number.
const other = 99

// ToOCSF is e as OCSF has it.
func ToOCSF(e Event) OCSF {
	o := OCSF{
		ActivityName: e.Action,
		Actor:        ocsfActor{User: ocsfUser{UID: e.Actor.ID, Type: e.Actor.Type}},
		Metadata: ocsfMetadata{
			Product: ocsfProduct{Name: "Tenantry", Vendor: "Tenantry"}, Sequence: e.Seq,
			Tenant: e.OrgID.String(), UID: e.ID.String(), Version: ocsfVersion,
		},
		SeverityID: 1, SrcEndpoint: ocsfEndpoint{IP: e.IP}, StatusID: 1, Status: "Success", Time: e.OccurredAt.UnixMilli(),
		Unmapped: ocsfUnmapped{
			Action: e.Action, Changes: e.Changes, DecisionID: e.DecisionID, ImpersonatorID: e.Actor.ImpersonatorID,
			LeafHash: e.LeafHash, Outcome: e.Outcome, PolicyVersion: e.PolicyVersion, RequestID: e.RequestID,
		},
	}
	if e.IP == "" {
		o.SrcEndpoint.Name = "unknown"
	}
	if e.Outcome == Denied || e.Outcome == Failed {
		o.StatusID, o.Status, o.SeverityID = 2, "Failure", 2
	}
	o.class(e)
	o.CategoryUID = o.ClassUID / 1000
	o.TypeUID = o.ClassUID*100 + o.ActivityID
	return o
}

// class says what kind of event it is to OCSF, with what that kind requires.
func (o *OCSF) class(e Event) {
	activities := map[string]int{"create": 1, "read": 2, "list": 2, "update": 3, "delete": 4}
	switch {
	case e.Resource.Kind == "user" && e.Resource.ID != "":
		o.ClassUID, o.User = ocsfAccountChange, &ocsfUser{UID: e.Resource.ID}
		activities = map[string]int{"create": 1, "user:enable": 2, "user:disable": 5, "delete": 6, "user:erase": 6}
	case e.Resource.Kind == "membership" && e.Resource.ID != "":
		o.ClassUID, o.User, o.Privileges = ocsfUserAccess, &ocsfUser{UID: e.Resource.ID}, privileges(e)
		activities = map[string]int{"create": 1, "delete": 2}
	default:
		o.ClassUID, o.API = ocsfAPIActivity, &ocsfAPI{Operation: e.Action, Request: ocsfRequest{UID: e.RequestID}}
		resource := ocsfResource{Type: e.Resource.Kind, UID: e.Resource.ID}
		if resource.UID == "" {
			resource.Name = resource.Type
		}
		o.Resources = []ocsfResource{resource}
	}
	o.ActivityID = cmp.Or(activities[e.Action], other)
}

// privileges are the roles that a change of a membership tells of.
func privileges(e Event) *[]string {
	var changes struct {
		OrgRoles []string `json:"org_roles"`
	}
	if err := json.Unmarshal(e.Changes, &changes); err != nil || changes.OrgRoles == nil {
		return &[]string{}
	}
	return &changes.OrgRoles
}
