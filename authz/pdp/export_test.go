package pdp

// Seal is what a replica would keep in Redis.
func (r *Redis) Seal(k Key, value []byte) []byte { return r.seal(k, value) }
