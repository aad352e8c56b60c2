package pdp

import (
	enginev1 "github.com/cerbos/cerbos/api/genpb/cerbos/engine/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// outputAction is the number of OutputEntry.action. The field is newer than the API this module is
// pinned to, whose successors need a newer Go than Encore's own toolchain has; it arrives all the
// same, as a field unknown to that API.
const outputAction protowire.Number = 3

// ActionOf is the action that an output belongs to; "" if the decision point did not say.
func ActionOf(o *enginev1.OutputEntry) string {
	for rest := o.ProtoReflect().GetUnknown(); len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return ""
		}
		rest = rest[n:]
		if number == outputAction && kind == protowire.BytesType {
			value, n := protowire.ConsumeString(rest)
			if n < 0 {
				return ""
			}
			return value
		}
		if n = protowire.ConsumeFieldValue(number, kind, rest); n < 0 {
			return ""
		}
		rest = rest[n:]
	}
	return ""
}
