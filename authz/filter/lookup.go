package filter

import "slices"

// looked compares what a literal map holds under a column: the keys for which it is true are known
// here, so it is the column being one of them. A key that is not in the map fails in the policy, and
// so does its negation: both select nothing.
func (b *builder) looked(operator string, left, right term, negate bool) (string, error) {
	var holds func(content any) (yes, ok bool)
	var by term
	switch {
	case operator == "in" && right.lookup != nil && left.column == nil:
		by, holds = right, func(content any) (bool, bool) {
			list, ok := content.([]any)
			return ok && slices.Contains(list, left.literal), ok && scalar(left.literal)
		}
	case (operator == "eq" || operator == "ne") && left.lookup != nil && right.column == nil:
		by, holds = left, func(content any) (bool, bool) {
			ok := scalar(content) && scalar(right.literal)
			return ok && (content == right.literal) == (operator == "eq"), ok
		}
	default:
		return "", &UnsupportedError{Operator: operator, Detail: "with a map looked up by a column"}
	}
	keys := make([]any, 0, len(by.lookup))
	for key, content := range by.lookup {
		yes, ok := holds(content)
		if !ok {
			return "", &UnsupportedError{Operator: operator, Detail: "with what a map holds"}
		}
		if yes != negate {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b any) int { // the same predicate for the same plan
		switch {
		case a.(string) < b.(string):
			return -1
		case a.(string) > b.(string):
			return 1
		}
		return 0
	})
	return b.oneOf(*by.column, keys, false)
}

// scalar values can be compared with ==.
func scalar(v any) bool {
	switch v.(type) {
	case string, bool, float64:
		return true
	}
	return false
}
